"""A program under `jax.jit`, compiled for a bounded number of shapes."""

from typing import Any

import jax
import keras
import numpy as np

from keras_bigmodel.generation.program import Program

_STATIC = ("num_steps", "capacity")


class JaxProgram:
    """Runs a `Program` with the model's weights as arguments.

    Prompt widths and numbers of steps are rounded up to a few sizes, so that
    few programs are compiled.

    Args:
        program: The program.
        model: The model whose weights it reads.
    """

    def __init__(self, program: Program, model: keras.Model) -> None:
        self._program = program
        self._model = model
        self._compiled = {
            name: jax.jit(self._stateless(name), static_argnums=0)
            for name in ("run", "start", "advance")
        }

    @property
    def num_traces(self) -> int:
        """How many programs were compiled so far."""
        return sum(
            function._cache_size() for function in self._compiled.values()
        )

    def run(
        self, prompt: dict[str, np.ndarray], options: dict[str, Any]
    ) -> dict[str, np.ndarray]:
        """Does all of a generation in one call, as `Program.run`."""
        steps = round_up(options["num_steps"])
        prompt = self._rounded(prompt, steps)
        arguments = {**prompt, **options, "num_steps": steps}
        return _arrays(self._call("run", arguments))

    def start(self, prompt: dict[str, np.ndarray]) -> dict[str, Any]:
        """Reads the prompts, as `Program.start`; returns the carry."""
        width = prompt["prompt_ids"].shape[1]
        steps = round_up(int(prompt["capacity"]) - width + 1)
        prompt = self._rounded(prompt, steps)
        carry = self._call("start", prompt)
        return {**carry, "capacity": prompt["capacity"]}

    def advance(
        self, carry: dict[str, Any], options: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Generates some tokens, as `Program.advance`."""
        carry = dict(carry)
        capacity = carry.pop("capacity")
        new, outputs = self._call(
            "advance", {**options, "carry": carry, "capacity": capacity}
        )
        return {**new, "capacity": capacity}, _arrays(outputs)

    def _rounded(self, prompt: dict[str, Any], steps: int) -> dict[str, Any]:
        """Returns a prompt of a common size, padded behind."""
        ids = prompt["prompt_ids"]
        width = round_up(ids.shape[1])
        if not self._program.long_prompts:
            # All but the last token are read at once, within the context.
            width = min(width, self._program.chunk + 1)
        ids = np.pad(ids, ((0, 0), (0, width - ids.shape[1])))
        rounded = {**prompt, "prompt_ids": ids, "capacity": width + steps}
        if "state" in prompt:
            # The caches are there already.
            rounded["capacity"] = prompt["capacity"]
        return rounded

    def _call(self, name: str, arguments: dict[str, Any]) -> Any:
        static = tuple(
            (key, int(arguments[key])) for key in _STATIC if key in arguments
        )
        traced = {
            key: value for key, value in arguments.items() if key not in _STATIC
        }
        values = [variable.value for variable in self._model.variables]
        return self._compiled[name](static, values, traced)

    def _stateless(self, name: str) -> Any:
        def call(static: tuple, values: list, traced: dict) -> Any:
            mapping = zip(self._model.variables, values, strict=True)
            with keras.StatelessScope(state_mapping=list(mapping)):
                return getattr(self._program, name)(**traced, **dict(static))

        return call


def round_up(size: int) -> int:
    """Returns the next of 16, 24, 32, 48, 64, 96, 128, ...."""
    power = 16
    while power < size:
        if power * 3 // 2 >= size:
            return power * 3 // 2
        power *= 2
    return power


def _arrays(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in outputs.items()}
