"""The decoding loop, in the graph once for all signatures that use it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_bigmodel.export.signatures.loop import ANY_HOST, Loop
from keras_bigmodel.export.signatures.options import option_specs
from keras_bigmodel.export.signatures.row_sampling import (
    RowPenalty,
    RowSampler,
)
from keras_bigmodel.generation.program import Program
from keras_bigmodel.generation.step_rows import ANY_ROWS, SEVERAL_ROWS
from keras_bigmodel.generation.tensorflow_kernels import StepKernels
from keras_bigmodel.layers.kernels import Kernels
from keras_bigmodel.layers.key_value_cache import WRITTEN

State = dict[str, Any]


class Decoder:
    """Two graph functions, which read prompts and make tokens.

    Every signature that generates calls the same two, so that a SavedModel
    holds the model's graph a few times and not a few times a signature.

    Args:
        step: From token ids, (B, T), and a context to logits, under a decoding
            scope.
        vocabulary_size: Number of tokens.
        context: The model's context in tokens; None: unlimited.
        stop_ids: Tokens that end a row.
        context_specs: Of what the step reads beside tokens, by name, batch
            first.
        loop: How the two are compiled.
    """

    def __init__(
        self,
        step: Callable[[Any, dict[str, Any]], Any],
        vocabulary_size: int,
        context: int | None,
        stop_ids: list[int],
        context_specs: dict[str, tf.TensorSpec] | None = None,
        loop: Loop = ANY_HOST,
    ) -> None:
        self._step = step
        self._vocabulary_size = vocabulary_size
        self._context = context
        self._context_specs = context_specs or {}
        # An empty list would have no type, and no token is -1.
        self._stop_ids = stop_ids or [-1]
        # None leaves it to the host, and False would forbid it.
        self._options = {
            "autograph": False,
            "jit_compile": True if loop.jit_compile else None,
        }
        self._loop = loop
        self._blocks = loop.blocks()
        self._kernels = loop.kernels(self._blocks)
        self._start = tf.function(
            self._trace_start,
            input_signature=[
                tf.TensorSpec([None, None], tf.int32),
                tf.TensorSpec([None], tf.int32),
                tf.TensorSpec([], tf.int32),
                self._context_specs,
            ],
            **self._options,
        )
        self._advance: Any = None

    @property
    def prompt_kernels(self) -> Kernels | None:
        """How prompts are read; None: in Keras's way."""
        return self._kernels and self._kernels.for_prompts()

    def state_specs(self) -> State:
        """Returns specs of what `start` returns."""
        carry = self._start.get_concrete_function().structured_outputs
        rows = tf.TensorSpec([None], tf.int32)
        return {
            "carry": tf.nest.map_structure(
                lambda x: tf.TensorSpec(x.shape, x.dtype), carry
            ),
            "context": self._context_specs,
            "capacity": rows,
            "options": option_specs(),
        }

    def start(
        self,
        token_ids: tf.Tensor,
        lengths: tf.Tensor,
        options: dict[str, tf.Tensor],
        context: dict[str, tf.Tensor] | None = None,
    ) -> State:
        """Reads prompts.

        Args:
            token_ids: int32, (B, T), padding behind.
            lengths: int32, (B,).
            options: Those of `option_specs`, checked.
            context: What the step reads beside tokens.

        Returns:
            What `advance` goes on from: tensors, batch first.
        """
        num_new = tf.reduce_max(options["max_new_tokens"])
        needed = tf.maximum(tf.shape(token_ids)[1] - 1 + num_new, 1)
        # As in memory: with as many slots, the same sums in the same order.
        capacity = -(-needed // 8) * 8
        context = context or {}
        carry = self._start(token_ids, lengths, capacity, context)
        return {
            "carry": carry,
            "context": context,
            "capacity": tf.fill(tf.shape(lengths), capacity),
            "options": options,
        }

    def advance(
        self, state: State, num_steps: tf.Tensor
    ) -> tuple[State, dict[str, tf.Tensor]]:
        """Makes tokens in every unfinished row.

        Args:
            state: What `start` or `advance` returned.
            num_steps: Tokens to make at most.

        Returns:
            The state, and `token_ids`, int32 (B, num_steps), zeros behind
            each row's end and no stop tokens; `num_tokens`, int32 (B,);
            `is_finished`, bool (B,), and `is_stopped` for rows that met a
            stop token.
        """
        if self._advance is None:
            self._advance = tf.function(
                self._trace_advance,
                input_signature=[
                    self.state_specs(),
                    tf.TensorSpec([], tf.int32),
                ],
                **self._options,
            )
        carry, made = self._advance(state, tf.convert_to_tensor(num_steps))
        return {**state, "carry": carry}, made

    def owned(self, state: State) -> State:
        """Returns a state that may be written into, whoever holds this one.

        Args:
            state: What came from outside.
        """
        if self._kernels is None:
            return state
        carry = state["carry"]
        caches = {
            name: tf.raw_ops.DeepCopy(x=value)
            if name.endswith(WRITTEN)
            else value
            for name, value in carry["state"].items()
        }
        return {**state, "carry": {**carry, "state": caches}}

    def complete(self, state: State) -> dict[str, tf.Tensor]:
        """Makes all the tokens that were asked for.

        Args:
            state: What `start` returned.

        Returns:
            `token_ids` and `num_tokens` as `advance` gives them, and
            `finish_reason`, strings (B,): "stop" or "length".
        """
        num_new = tf.reduce_max(state["options"]["max_new_tokens"])
        _, made = self.advance(state, num_new)
        return {
            "token_ids": made["token_ids"],
            "num_tokens": made["num_tokens"],
            "finish_reason": tf.where(made["is_stopped"], "stop", "length"),
        }

    def _program(
        self,
        context: dict[str, tf.Tensor],
        kernels: StepKernels | None,
    ) -> Program:
        return Program(
            lambda token_ids: self._step(token_ids, context),
            RowSampler(),
            [RowPenalty(self._vocabulary_size)],
            context=self._context,
            kernels=kernels,
        )

    def _trace_start(
        self,
        token_ids: tf.Tensor,
        lengths: tf.Tensor,
        capacity: tf.Tensor,
        context: dict[str, tf.Tensor],
    ) -> State:
        program = self._program(context, self._kernels)
        return program.start(token_ids, lengths, capacity)

    def _trace_advance(self, state: State, num_steps: tf.Tensor) -> tuple:
        def steps(kernels: StepKernels | None) -> tuple:
            return self._steps(state, num_steps, kernels)

        if not self._loop.pack_weights:
            return steps(self._kernels)
        few = ANY_ROWS[0], SEVERAL_ROWS - 1
        plain = dataclasses.replace(self._loop, pack_weights=False)
        return tf.cond(
            tf.shape(state["capacity"])[0] <= few[1],
            lambda: steps(plain.kernels(self._blocks, few)),
            lambda: steps(self._kernels),
        )

    def _steps(
        self, state: State, num_steps: tf.Tensor, kernels: StepKernels | None
    ) -> tuple:
        options = dict(state["options"])
        limits = options.pop("max_new_tokens")
        stop_ids = tf.constant(self._stop_ids)
        carry, made = self._program(state["context"], kernels).advance(
            state["carry"],
            seeds=options.pop("seed"),
            parameters=options,
            stop_ids=stop_ids,
            limits=limits,
            num_steps=num_steps,
            capacity=tf.reduce_max(state["capacity"]),
        )
        tokens, counts = made["tokens"], made["counts"]
        column = tf.range(num_steps)[None]
        is_last = column == counts[:, None] - 1
        is_stop = tf.reduce_any(tokens[..., None] == stop_ids, axis=-1)
        is_stopped = tf.reduce_any(is_last & is_stop, axis=1)
        counts -= tf.cast(is_stopped, tf.int32)
        return carry, {
            "token_ids": tf.where(column < counts[:, None], tokens, 0),
            "num_tokens": counts,
            "is_finished": made["finished"],
            "is_stopped": is_stopped,
        }
