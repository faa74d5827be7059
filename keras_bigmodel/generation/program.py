"""The decoding loop as a pure program over tensors.

It runs eagerly, in a `tf.function`, under `jax.jit`, and inside the graph of a
SavedModel. Axes: B batch, T prompt, V vocabulary, N new tokens.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from keras_bigmodel.generation.randomness import uniforms
from keras_bigmodel.layers import key_value_cache
from keras_bigmodel.layers.decoding import LENGTHS, DecodingScope
from keras_bigmodel.layers.kernels import KERAS, Kernels

Tensor = Any

# Prompts longer than this are read in pieces of it, so that scores of a piece
# against the cache are all that memory must hold.
PREFILL_CHUNK = 512
# While caches grow, the old ones are in memory beside the new: so those that
# will hold more numbers than this (256 MiB of float32) get all slots after the
# prompt, and during it if it fills more than a sixteenth.
LARGE_CACHES = 2**26


class Program:
    """Reads prompts, then generates tokens one after the other.

    Args:
        step: From token ids, (B, T), to logits, (B, T, V), under a scope.
        sampler: One of `kbm.samplers` that picks from logits.
        processors: Change logits before the sampler sees them, in order.
        log_probabilities: Whether to return those of the tokens.
        cache_dtype: Float type of cached keys and values; None: as computed.
        context: The model's context in tokens; None: unlimited.
        long_prompts: Whether prompts may be longer than a piece that is read
            at once; a program without is traced faster.
        encoder: For an encoder-decoder model, from source ids to the dict that
            `step` takes beside `target_ids`; None: `step` takes token ids
            alone.
        kernels: How a step computes, see `DecodingScope`.
    """

    # Slots that steps may use beyond the tokens that are kept.
    slack = 0

    def __init__(
        self,
        step: Callable[[Tensor], Tensor],
        sampler: Any,
        processors: Sequence[Any] = (),
        log_probabilities: bool = False,
        cache_dtype: str | None = None,
        context: int | None = None,
        long_prompts: bool = True,
        encoder: Callable[[Tensor], dict[str, Tensor]] | None = None,
        kernels: Kernels | None = None,
    ) -> None:
        self.step = step
        self.sampler = sampler
        self.processors = tuple(processors)
        self.log_probabilities = log_probabilities
        self.cache_dtype = cache_dtype
        self.chunk = prefill_chunk(context)
        self.long_prompts = long_prompts
        self.encoder = encoder
        self.kernels = kernels or KERAS

    def start(
        self,
        prompt_ids: Tensor,
        lengths: Tensor,
        capacity: Any,
        source_ids: Tensor | None = None,
        state: dict[str, Tensor] | None = None,
    ) -> dict[str, Any]:
        """Reads the prompts, all but the last token of each.

        Args:
            prompt_ids: int32, (B, T), tokens first and any padding behind.
            lengths: Tokens of each row, int32 (B,), at least 1.
            capacity: Slots of the caches, at least T - 1 plus all tokens to be
                generated and `slack`.
            source_ids: What the encoder reads, int32 (B, source), if there is
                one; the prompts are then the beginnings of the answers.
            state: What one row read before all prompts, batch 1, with caches
                of `capacity` slots; None: nothing.

        Returns:
            What `advance` goes on from: a dict of tensors, batch first.
        """
        width = ops.shape(prompt_ids)[1]
        columns = _maximum(width - 1, 1)
        context = {} if self.encoder is None else self.encoder(source_ids)
        state = self._prefill(
            prompt_ids[:, :columns],
            lengths - 1,
            columns,
            capacity,
            context,
            state,
        )
        last = ops.take_along_axis(prompt_ids, lengths[:, None] - 1, axis=1)
        index = ops.arange(width, dtype="int32")[None, :]
        visible = index < lengths[:, None]
        memory = {
            str(number): processor.start(prompt_ids, visible)
            for number, processor in enumerate(self.processors)
        }
        return {
            "token": last,
            "count": ops.zeros_like(lengths),
            "finished": ops.zeros_like(lengths, dtype="bool"),
            "memory": memory,
            "context": context,
            "state": state,
        }

    def advance(
        self,
        carry: dict[str, Any],
        parameters: dict[str, Tensor],
        seeds: Tensor,
        stop_ids: Tensor,
        limits: Tensor,
        num_steps: Any,
        capacity: Any,
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Generates up to `num_steps` tokens in every unfinished row.

        Args:
            carry: What `start` or `advance` returned.
            parameters: The sampler's and processors', (B,) each.
            seeds: Of each row's randomness, int32 (B,).
            stop_ids: Tokens that end a row, int32 (any number,).
            limits: Tokens after which a row ends, int32 (B,).
            num_steps: Steps to take at most.
            capacity: As in `start`.

        Returns:
            The carry, and what was generated: `tokens`, int32 (B, num_steps),
            the last one a stop token where the row met one; `counts`, int32
            (B,), the tokens of this call in each row; `finished`, bool (B,);
            and `log_probabilities`, float32 (B, num_steps), if asked for.
        """
        before = carry["count"]
        steps = ops.arange(num_steps, dtype="int32")[:, None]
        noise = uniforms(seeds[None, :], before[None, :] + steps)
        buffers = {"tokens": ops.zeros_like(noise, dtype="int32")}
        if self.log_probabilities:
            buffers["log_probabilities"] = ops.zeros_like(noise)
        carry = {
            **carry,
            "finished": ops.logical_or(carry["finished"], before >= limits),
            "index": ops.convert_to_tensor(0, "int32"),
            **buffers,
        }

        def unfinished(carry: dict) -> Tensor:
            running = ops.logical_not(ops.all(carry["finished"]))
            return ops.logical_and(carry["index"] < num_steps, running)

        def body(carry: dict, slots: Slots) -> dict:
            logits, state = self._logits(carry, slots)
            picked, memory = self._pick(
                logits,
                ops.take(noise, carry["index"], axis=0),
                carry,
                parameters,
            )
            alive = ops.logical_not(carry["finished"])
            new = {"tokens": ops.where(alive, picked, 0)}
            if self.log_probabilities:
                scores = ops.log_softmax(logits, axis=-1)
                score = ops.take_along_axis(scores, picked[:, None], axis=-1)
                new["log_probabilities"] = ops.where(alive, score[:, 0], 0.0)
            count = carry["count"] + ops.cast(alive, "int32")
            stopped = ops.any(picked[:, None] == stop_ids[None, :], axis=-1)
            ended = ops.logical_or(stopped, count >= limits)
            where = ops.reshape(carry["index"], (1, 1))
            return {
                "token": picked[:, None],
                "count": count,
                "finished": ops.logical_or(carry["finished"], ended),
                "memory": memory,
                "context": carry["context"],
                "state": state,
                "index": carry["index"] + 1,
                **{
                    name: ops.scatter_update(carry[name], where, part[None])
                    for name, part in new.items()
                },
            }

        carry = self._loop(unfinished, body, carry, capacity)
        carry.pop("index")
        outputs = {name: ops.transpose(carry.pop(name)) for name in buffers}
        outputs["counts"] = carry["count"] - before
        outputs["finished"] = carry["finished"]
        return carry, outputs

    def run(
        self,
        prompt_ids: Tensor,
        lengths: Tensor,
        parameters: dict[str, Tensor],
        seeds: Tensor,
        stop_ids: Tensor,
        limits: Tensor,
        num_steps: Any,
        capacity: Any,
        source_ids: Tensor | None = None,
        state: dict[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Does `start` and one `advance`, and returns what was generated."""
        carry = self.start(prompt_ids, lengths, capacity, source_ids, state)
        _, outputs = self.advance(
            carry, parameters, seeds, stop_ids, limits, num_steps, capacity
        )
        return outputs

    def read(
        self,
        token_ids: Tensor,
        context: dict[str, Tensor],
        slots: "Slots",
        state: dict[str, Tensor] | None,
        padding_mask: Tensor | None = None,
        kernels: Kernels | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Reads some tokens in one step.

        Args:
            token_ids: int32, (B, T).
            context: What the encoder gave; empty without one.
            slots: Of the caches.
            state: What the steps before left; None: nothing.
            padding_mask: Booleans, (B, T), True where there is a token.
            kernels: How the step computes; default: as steps after the prompt.

        Returns:
            The logits, (B, T, V), and the state after the step.
        """
        scope = DecodingScope(
            slots.capacity,
            state=state,
            padding_mask=padding_mask,
            cache_dtype=self.cache_dtype,
            kernels=kernels or self.kernels,
            may_overrun=self.slack > 0,
            room=slots.room,
        )
        inputs = token_ids
        if self.encoder is not None:
            inputs = {"target_ids": token_ids, **context}
        with scope:
            logits = self.step(inputs)
        return logits, scope.state

    def _prefill(
        self,
        token_ids: Tensor,
        lengths: Tensor,
        width: Any,
        capacity: Any,
        context: dict[str, Tensor],
        state: dict[str, Tensor] | None,
    ) -> dict[str, Tensor]:
        """Returns the state after the first `lengths` tokens of each row."""
        pieces = (width - 1) // self.chunk if self.long_prompts else 0
        first = width - pieces * self.chunk
        kernels = self.kernels.for_prompts()
        slots = self._slots(state, width, capacity)

        def piece_of(start: Any, size: Any, state: dict | None) -> dict:
            index = start + ops.arange(size, dtype="int32")
            ids = ops.take(token_ids, index, axis=1)
            visible = index[None, :] < lengths[:, None]
            return self.read(ids, context, slots, state, visible, kernels)[1]

        if state is not None:
            rows = ops.shape(token_ids)[0]
            state = {
                name: ops.repeat(value, rows, axis=0)
                for name, value in state.items()
            }
            state = self._grown({"state": state}, slots.room)["state"]
        state = piece_of(0, first, state)
        if isinstance(pieces, int) and pieces == 0:
            return state
        _, state = ops.while_loop(
            lambda piece, state: piece < pieces,
            lambda piece, state: (
                piece + 1,
                piece_of(first + piece * self.chunk, self.chunk, state),
            ),
            (ops.convert_to_tensor(0, "int32"), state),
        )
        return state

    def _loop(
        self,
        going: Callable[[dict], Tensor],
        body: Callable[[dict, "Slots"], dict],
        carry: dict[str, Any],
        capacity: Any,
        num_read: int = 1,
    ) -> dict[str, Any]:
        """Repeats steps, and lets the caches grow between them.

        Attention reads all slots, so that caches with a few more than are
        filled are faster than such as have room for all tokens to come.

        Args:
            going: Whether to take another step.
            body: Takes a step.
            carry: What steps change, the scope's `state` among it.
            capacity: Slots that are enough for all steps.
            num_read: Tokens that a step reads.
        """
        if self.kernels.growth is None or LENGTHS not in carry["state"]:
            slots = Slots(capacity, None)
            return ops.while_loop(
                going, lambda carry: (body(carry, slots),), (carry,)
            )[0]

        def stage(carry: dict) -> tuple:
            slots = self._slots(carry["state"], num_read, capacity)
            # In the end caches are full, and no step is held up.
            full = ops.equal(slots.room, capacity)

            def fits(carry: dict) -> Tensor:
                after = _longest(carry["state"]) + num_read
                return ops.logical_or(after <= slots.room, full)

            return ops.while_loop(
                lambda carry: ops.logical_and(going(carry), fits(carry)),
                lambda carry: (body(carry, slots),),
                (self._grown(carry, slots.room),),
            )

        return ops.while_loop(going, stage, (carry,))[0]

    def _slots(
        self, state: dict[str, Tensor] | None, num_read: Any, capacity: Any
    ) -> "Slots":
        """Returns slots with room for some more tokens."""
        growth = self.kernels.growth
        if growth is None:
            return Slots(capacity, None)
        needed = num_read
        if state is not None and LENGTHS in state:
            # Lengths of a state that was made up may be any.
            needed = num_read + ops.maximum(_longest(state), 0)
        # An eighth more, so that long caches are not copied too often.
        room = -(-(needed + needed // 8) // growth) * growth
        if state is None:
            at_once = needed > capacity // 16
        else:
            size = key_value_cache.slot_size(state)
            at_once = size * ops.cast(capacity, "float32") > LARGE_CACHES
            room = ops.maximum(room, key_value_cache.num_slots(state))
        room = ops.where(at_once, capacity, ops.minimum(room, capacity))
        return Slots(capacity, room)

    def _grown(self, carry: dict[str, Any], room: Any) -> dict[str, Any]:
        """Returns what steps change, with caches of more slots."""
        if room is None:
            return carry
        return {**carry, "state": key_value_cache.grown(carry["state"], room)}

    def _logits(
        self, carry: dict[str, Any], slots: "Slots"
    ) -> tuple[Tensor, dict[str, Tensor]]:
        logits, state = self.read(
            carry["token"], carry["context"], slots, carry["state"]
        )
        return ops.cast(logits[:, 0], "float32"), state

    def _pick(
        self,
        logits: Tensor,
        noise: Tensor,
        carry: dict[str, Any],
        parameters: dict[str, Tensor],
    ) -> tuple[Tensor, dict[str, Any]]:
        for number, processor in enumerate(self.processors):
            memory = carry["memory"][str(number)]
            logits = processor.process(
                logits, memory, carry["count"], parameters
            )
        picked = self.sampler.pick(logits, noise, parameters)
        return picked, {
            str(number): processor.update(carry["memory"][str(number)], picked)
            for number, processor in enumerate(self.processors)
        }


@dataclasses.dataclass(frozen=True)
class Slots:
    """How many slots caches have.

    Args:
        capacity: In the end.
        room: So far; None: as in the end.
    """

    capacity: Any
    room: Any


def prefill_chunk(context: int | None) -> int:
    """Returns how many tokens of a prompt are read at once."""
    return min(PREFILL_CHUNK, context or PREFILL_CHUNK)


def _longest(state: dict[str, Tensor]) -> Tensor:
    return ops.max(state[LENGTHS])


def _maximum(x: Any, least: int) -> Any:
    return max(x, least) if isinstance(x, int) else ops.maximum(x, least)
