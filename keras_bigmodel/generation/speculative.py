"""Speculative decoding: several tokens a step, the answer unchanged.

Guessed tokens are put behind the newest one, and the model reads all of them
in one step. At each place the sampler picks as it would have anyway, with that
place's own random number; guesses are kept as far as they equal the picks, and
the first pick that differs replaces its guess. So the answer is, token by
token, the one without guessing: greedy or drawn, for the same seeds. Caches
need no copy: a row's length says which of its slots count. Where no row has a
guess, a step reads the newest token alone.

Axes: B batch, G guesses a step, N new tokens, V vocabulary.
"""

from typing import Any

from keras import ops

from keras_bigmodel.generation.program import Program, Slots
from keras_bigmodel.generation.randomness import uniforms
from keras_bigmodel.layers import key_value_cache
from keras_bigmodel.layers.decoding import LENGTHS
from keras_bigmodel.layers.kernels import Kernels

Tensor = Any


class SpeculativeProgram(Program):
    """Generates like `Program`, reading guessed tokens along.

    Args:
        step: From token ids, (B, T), to logits, (B, T, V), under a scope.
        guesser: Has `start`, `grown`, `guess` and `learn`, and says whether it
            always guesses, see `PromptGuesser`.
        **options: The other arguments of `Program`, without processors.

    References:
        Leviathan et al. 2023, "Fast Inference from Transformers via
        Speculative Decoding", section 2; here guesses and picks share their
        random numbers, which makes the answers equal and not only their
        distributions.
    """

    def __init__(self, step: Any, guesser: Any, **options: Any) -> None:
        super().__init__(step, **options)
        self.guesser = guesser
        # A last step may read guesses past the last token that is wanted.
        self.slack = guesser.num_guesses

    def start(
        self,
        prompt_ids: Tensor,
        lengths: Tensor,
        capacity: Any,
        source_ids: Tensor | None = None,
        state: dict[str, Tensor] | None = None,
    ) -> dict[str, Any]:
        """Reads the prompts, as in `Program.start`."""
        carry = super().start(prompt_ids, lengths, capacity, source_ids, state)
        memory = self.guesser.start(prompt_ids, lengths, capacity)
        return {**carry, "memory": memory}

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
        """Generates at least `num_steps` tokens in every unfinished row.

        A row may gain up to the number of guesses more.
        """
        before = carry["count"]
        batch = ops.shape(before)[0]
        width = num_steps + self.guesser.num_guesses + 1
        names = ["tokens"]
        names += ["log_probabilities"] if self.log_probabilities else []
        dtypes = {"tokens": "int32", "log_probabilities": "float32"}
        carry = {
            **carry,
            "finished": ops.logical_or(carry["finished"], before >= limits),
            # Column `width` takes what is not kept.
            **{
                name: ops.zeros((batch, width + 1), dtypes[name])
                for name in names
            },
        }

        def running(carry: dict) -> Tensor:
            behind = carry["count"] - before < num_steps
            return ops.logical_and(ops.logical_not(carry["finished"]), behind)

        def body(carry: dict, slots: Slots) -> dict:
            alive = running(carry)
            guesses, memory = self.guesser.guess(
                carry["memory"], carry["token"], slots
            )

            def check() -> tuple:
                behind = ops.maximum(guesses, 0)
                read = ops.concatenate([carry["token"], behind], axis=1)
                return self._made(read, carry, slots, parameters, seeds)

            def go_on() -> tuple:
                kernels = self.kernels.for_single_tokens()
                made, state = self._made(
                    carry["token"], carry, slots, parameters, seeds, kernels
                )
                missing = ((0, 0), (0, self.guesser.num_guesses))
                made = {name: ops.pad(x, missing) for name, x in made.items()}
                return made, state

            if self.guesser.always_guesses:
                made, state = check()
            else:
                made, state = ops.cond(ops.any(guesses >= 0), check, go_on)
            picked = made["tokens"]
            kept, ended = self._keep(
                picked, guesses, carry["count"], alive, stop_ids, limits
            )
            place = carry["count"] - before
            buffers = {
                name: _write(carry[name], made[name], place, kept, width)
                for name in names
            }
            last = ops.take_along_axis(
                picked, ops.maximum(kept - 1, 0)[:, None], axis=1
            )
            return {
                "token": ops.where(alive[:, None], last, carry["token"]),
                "count": carry["count"] + kept,
                "finished": ops.logical_or(carry["finished"], ended),
                "memory": self.guesser.learn(
                    memory, picked, kept, state[LENGTHS]
                ),
                "context": carry["context"],
                "state": {**state, LENGTHS: state[LENGTHS] + kept},
                **buffers,
            }

        carry = self._loop(
            lambda carry: ops.any(running(carry)),
            body,
            carry,
            capacity,
            num_read=self.guesser.num_guesses + 1,
        )
        outputs = {name: carry.pop(name)[:, :width] for name in names}
        outputs["counts"] = carry["count"] - before
        outputs["finished"] = carry["finished"]
        return carry, outputs

    def _grown(self, carry: dict[str, Any], room: Any) -> dict[str, Any]:
        carry = super()._grown(carry, room)
        if room is None or "memory" not in carry:
            return carry
        return {**carry, "memory": self.guesser.grown(carry["memory"], room)}

    def _made(
        self,
        read: Tensor,
        carry: dict[str, Any],
        slots: Slots,
        parameters: dict[str, Tensor],
        seeds: Tensor,
        kernels: Kernels | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Reads tokens, (B, T), and picks what follows each of them.

        Returns:
            The picks, and their log-probabilities if asked for, (B, T) each;
            and the state, with the lengths of before.
        """
        logits, state = self.read(
            read, carry["context"], slots, carry["state"], kernels=kernels
        )
        logits = ops.cast(logits, "float32")
        picked = self._pick_all(logits, carry["count"], seeds, parameters)
        made = {"tokens": picked}
        if self.log_probabilities:
            scores = ops.log_softmax(logits, axis=-1)
            made["log_probabilities"] = ops.take_along_axis(
                scores, picked[:, :, None], axis=-1
            )[:, :, 0]
        return made, {**state, LENGTHS: state[LENGTHS] - read.shape[1]}

    def _pick_all(
        self,
        logits: Tensor,
        count: Tensor,
        seeds: Tensor,
        parameters: dict[str, Tensor],
    ) -> Tensor:
        """Returns what the sampler picks at each place, (B, G + 1)."""
        places = logits.shape[1]
        offsets = ops.arange(places, dtype="int32")[None, :]
        noise = uniforms(seeds[:, None], count[:, None] + offsets)
        flat = ops.reshape(logits, (-1, logits.shape[-1]))
        repeated = {
            name: ops.repeat(value, places, axis=0)
            for name, value in parameters.items()
        }
        picked = self.sampler.pick(flat, ops.reshape(noise, (-1,)), repeated)
        return ops.reshape(picked, (-1, places))

    def _keep(
        self,
        picked: Tensor,
        guesses: Tensor,
        count: Tensor,
        alive: Tensor,
        stop_ids: Tensor,
        limits: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Returns how many picks stand, (B,), and whether the row ends."""
        right = ops.cast(picked[:, :-1] == guesses, "int32")
        kept = 1 + ops.sum(ops.cumprod(right, axis=1), axis=1)
        stops = ops.any(picked[:, :, None] == stop_ids, axis=-1)
        first = ops.argmax(ops.cast(stops, "int32"), axis=1)
        first = ops.cast(first, "int32") + 1
        stopped = ops.logical_and(ops.any(stops, axis=1), first <= kept)
        kept = ops.where(stopped, first, kept)
        room = limits - count
        stopped = ops.logical_and(stopped, kept <= room)
        kept = ops.where(alive, ops.minimum(kept, room), 0)
        ended = ops.logical_or(stopped, count + kept >= limits)
        return kept, ops.logical_and(alive, ended)


class PromptGuesser:
    """Guesses that what followed the last tokens before follows again.

    Looks for the latest earlier place in a row where its newest tokens stood,
    the longest match first. A match that overlaps the newest tokens is taken
    to repeat itself. Text that repeats itself, code above all, is guessed
    well, at no cost.

    Args:
        num_guesses: Tokens guessed a step.
        longest_match: Newest tokens that are compared at most.

    References:
        Saxena 2023, "Prompt Lookup Decoding".
    """

    always_guesses = False

    def __init__(self, num_guesses: int, longest_match: int) -> None:
        self.num_guesses = num_guesses
        self.longest_match = longest_match

    def start(
        self, prompt_ids: Tensor, lengths: Tensor, capacity: Any
    ) -> dict[str, Tensor]:
        """Remembers the prompts: ids, (B, slots), and their number, (B,)."""
        batch, width = ops.shape(prompt_ids)
        room = self.num_guesses + 1
        # `capacity` holds the tokens read so far; the newest is one more, and
        # the last column takes what is not kept.
        empty = ops.zeros((batch, capacity + 2 + room - width), "int32")
        return {
            "ids": ops.concatenate([prompt_ids, empty], axis=1),
            "known": lengths,
        }

    def grown(self, memory: dict[str, Tensor], room: Any) -> dict[str, Tensor]:
        """Returns the memory, which has no caches."""
        return memory

    def guess(
        self, memory: dict[str, Tensor], token: Tensor, slots: Slots
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns guesses of the next tokens, (B, G), -1 for none."""
        ids, known = memory["ids"], memory["known"][:, None]
        width = ops.shape(ids)[1]
        place = ops.arange(width, dtype="int32")[None, :]
        # matches[b, j]: how many tokens up to place j equal the newest ones.
        matches = ops.zeros_like(ids)
        equal = ops.ones_like(ids, dtype="bool")
        for back in range(self.longest_match):
            newest = ops.take_along_axis(
                ids, ops.maximum(known - 1 - back, 0), axis=1
            )
            shifted = ops.roll(ids, back, axis=1)
            equal = ops.logical_and(equal, shifted == newest)
            equal = ops.logical_and(equal, place >= back)
            matches = matches + ops.cast(equal, "int32")
        matches = ops.where(place < known - 1, matches, 0)
        best = ops.argmax(matches * width + place, axis=1)
        after = ops.cast(best, "int32")[:, None] + 1
        offsets = ops.arange(self.num_guesses, dtype="int32")[None, :]
        # At the end of what is known the guesses go on from themselves.
        where = after + offsets % ops.maximum(known - after, 1)
        guesses = ops.take_along_axis(
            ids, ops.minimum(where, width - 1), axis=1
        )
        found = ops.max(matches, axis=1, keepdims=True) > 0
        return ops.where(found, guesses, -1), memory

    def learn(
        self,
        memory: dict[str, Tensor],
        picked: Tensor,
        kept: Tensor,
        lengths: Tensor,
    ) -> dict[str, Tensor]:
        """Remembers the first `kept` of the picked tokens."""
        ids, known = memory["ids"], memory["known"]
        last = ops.shape(ids)[1] - 1
        return {
            "ids": _write(ids, picked, known, kept, last),
            "known": known + kept,
        }


class ModelGuesser:
    """Guesses by a small model what it finds most probable.

    Args:
        program: A `Program` of the small model, with the greedy sampler.
        num_guesses: Tokens guessed a step.
    """

    always_guesses = True

    def __init__(self, program: Program, num_guesses: int) -> None:
        self.num_guesses = num_guesses
        self._program = program
        program.slack = num_guesses

    def start(
        self, prompt_ids: Tensor, lengths: Tensor, capacity: Any
    ) -> dict[str, Tensor]:
        """Reads the prompts with the small model too."""
        carry = self._program.start(prompt_ids, lengths, capacity)
        return {"state": carry["state"]}

    def grown(self, memory: dict[str, Tensor], room: Any) -> dict[str, Tensor]:
        """Returns the memory with caches of more slots."""
        return {"state": key_value_cache.grown(memory["state"], room)}

    def guess(
        self, memory: dict[str, Tensor], token: Tensor, slots: Slots
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the small model's most probable tokens, (B, G)."""
        state, guesses = memory["state"], []
        for index in range(self.num_guesses + 1):
            # The last guess is read as well, so that its keys are there if
            # all guesses turn out right.
            logits, state = self._program.read(token, {}, slots, state)
            if index < self.num_guesses:
                picked = self._program.sampler.pick(logits[:, -1], None, {})
                token = picked[:, None]
                guesses.append(token)
        return ops.concatenate(guesses, axis=1), {"state": state}

    def learn(
        self,
        memory: dict[str, Tensor],
        picked: Tensor,
        kept: Tensor,
        lengths: Tensor,
    ) -> dict[str, Tensor]:
        """Keeps the small model in step with the large one."""
        return {"state": {**memory["state"], LENGTHS: lengths + kept}}


def _write(
    buffer: Tensor, values: Tensor, place: Tensor, kept: Tensor, spare: Any
) -> Tensor:
    """Writes each row's first `kept` values from its `place` on.

    The others go to the column `spare`, whose content means nothing.
    """
    batch, width = ops.shape(values)
    offsets = ops.arange(width, dtype="int32")[None, :]
    column = ops.where(offsets < kept[:, None], place[:, None] + offsets, spare)
    row = ops.arange(batch, dtype="int32")[:, None]
    row = ops.broadcast_to(row, ops.shape(column))
    where = ops.reshape(ops.stack([row, column], axis=-1), (-1, 2))
    return ops.scatter_update(buffer, where, ops.reshape(values, (-1,)))
