"""A program as TensorFlow functions, traced once for all shapes."""

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bigmodel.generation.program import Program


class TensorFlowProgram:
    """Runs a `Program` in graphs whose every dimension may vary.

    Args:
        program: The program.
        jit_compile: Whether XLA compiles it, anew for each shape.
    """

    def __init__(self, program: Program, jit_compile: bool) -> None:
        self._program = program
        self._options = {"autograph": False, "jit_compile": jit_compile}
        self._functions: dict[Any, Any] = {}

    @property
    def num_traces(self) -> int:
        """How many graphs were traced so far."""
        return sum(
            function.experimental_get_tracing_count()
            for function in self._functions.values()
        )

    def run(
        self, prompt: dict[str, np.ndarray], options: dict[str, Any]
    ) -> dict[str, np.ndarray]:
        """Does all of a generation in one call, as `Program.run`.

        Args:
            prompt: `prompt_ids`, `lengths`, and `capacity`.
            options: What `Program.advance` takes beside the carry.
        """
        function = self._function("run", self._run, (prompt, options))
        outputs = function(_tensors(prompt), _tensors(options))
        return {name: value.numpy() for name, value in outputs.items()}

    def start(self, prompt: dict[str, np.ndarray]) -> dict[str, Any]:
        """Reads the prompts, as `Program.start`; returns the carry."""
        function = self._function("start", self._start, (prompt,))
        carry = function(_tensors(prompt))
        return {**carry, "capacity": prompt["capacity"]}

    def advance(
        self, carry: dict[str, Any], options: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Generates some tokens, as `Program.advance`."""
        carry = dict(carry)
        capacity = carry.pop("capacity")
        options = {**options, "capacity": capacity}
        if "advance" not in self._functions:
            started = self._functions["start"].get_concrete_function()
            carry_spec = tf.nest.map_structure(
                lambda spec: tf.TensorSpec(spec.shape, spec.dtype),
                started.structured_outputs,
            )
            self._trace("advance", self._advance, carry_spec, _specs(options))
        carry, outputs = self._functions["advance"](carry, _tensors(options))
        carry = {**carry, "capacity": capacity}
        return carry, {name: value.numpy() for name, value in outputs.items()}

    def _run(self, prompt: dict, options: dict) -> dict[str, tf.Tensor]:
        return self._program.run(**prompt, **options)

    def _start(self, prompt: dict) -> dict[str, Any]:
        return self._program.start(**prompt)

    def _advance(self, carry: dict, options: dict) -> tuple:
        return self._program.advance(carry, **options)

    def _function(self, name: str, method: Any, arguments: tuple) -> Any:
        if name not in self._functions:
            self._trace(name, method, *map(_specs, arguments))
        return self._functions[name]

    def _trace(self, name: str, method: Any, *specs: Any) -> None:
        self._functions[name] = tf.function(
            method, input_signature=specs, **self._options
        )
        with _without_garbage_collection():
            self._functions[name].get_concrete_function()


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Has Python not look for garbage where all that is made stays.

    It would look through a graph a hundred times while it grows, a twentieth
    of the time that tracing takes.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _tensors(values: Any) -> Any:
    return tf.nest.map_structure(tf.convert_to_tensor, values)


def _specs(values: Any) -> Any:
    """Returns specs that leave open what differs between calls.

    Of caches, (batch, heads, slots, head_dim), the model settles the rest.
    """

    def spec(x: tf.Tensor) -> tf.TensorSpec:
        shape = [None] * x.shape.rank
        if len(shape) == 4:
            shape[1], shape[3] = x.shape[1], x.shape[3]
        return tf.TensorSpec(shape, x.dtype)

    return tf.nest.map_structure(spec, _tensors(values))
