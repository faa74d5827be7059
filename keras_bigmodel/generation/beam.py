"""Beam search: keeps the most probable unfinished answers side by side.

Axes: B batch, K beams, N new tokens, V vocabulary.
"""

from typing import Any

from keras import ops, tree

from keras_bigmodel.generation.program import Program, Slots

Tensor = Any

# Stands for a probability of 0, and still leaves room for sums.
IMPOSSIBLE = -1e9


class BeamProgram(Program):
    """Generates the most probable answers found among `num_beams`.

    Each step looks at the 2 K most probable ways to go on from K unfinished
    answers. Those that end join the K best finished ones, by log-probability /
    length ** length_penalty; the K best others go on. A row ends when none of
    these could still become better.

    Args:
        step: From token ids, (B, T), to logits, (B, T, V), under a scope.
        sampler: A `kbm.samplers.Beam`.
        **options: The other arguments of `Program`, without processors.

    References:
        Sutskever et al. 2014, "Sequence to Sequence Learning", section 3.2;
        Wu et al. 2016, "Google's Neural Machine Translation System", section
        7, whose length penalty is another function.
    """

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
        """Returns the best answers of each row, the best one first.

        Arguments as in `Program.run`; `parameters` and `seeds` are not read.

        Returns:
            `tokens`, int32 (B, K, N); `counts`, int32 (B, K); `scores`, float32
            (B, K), by which they are ordered; `finished`, bool (B, K).
        """
        beams = self.sampler.num_beams
        started = self.start(prompt_ids, lengths, capacity, source_ids, state)
        tiled = tree.map_structure(
            lambda x: ops.repeat(x, beams, axis=0),
            {name: started[name] for name in ("token", "context", "state")},
        )
        batch = ops.shape(prompt_ids)[0]
        first = ops.arange(beams, dtype="int32") == 0
        scores = ops.where(first, 0.0, IMPOSSIBLE)
        nothing = ops.zeros((batch, beams), "int32")
        blank = ops.zeros((batch, beams, num_steps), "int32")
        carry = {
            **tiled,
            "scores": ops.broadcast_to(scores[None, :], (batch, beams)),
            "tokens": blank,
            "done_scores": ops.cast(nothing, "float32") + IMPOSSIBLE,
            "done_tokens": blank,
            "done_counts": nothing,
            "index": ops.convert_to_tensor(0, "int32"),
        }

        def going(carry: dict) -> Tensor:
            index = carry["index"]
            worst = carry["done_scores"][:, -1]
            hope = self._best_hope(carry["scores"][:, 0], index, limits)
            rows = ops.logical_and(hope > worst, index < limits)
            return ops.logical_and(index < num_steps, ops.any(rows))

        def body(carry: dict, slots: Slots) -> dict:
            return self._step_on(carry, stop_ids, limits, slots)

        carry = self._loop(going, body, carry, capacity)
        return self._best(carry, ops.minimum(carry["index"], limits))

    def _step_on(
        self,
        carry: dict[str, Tensor],
        stop_ids: Tensor,
        limits: Tensor,
        slots: Slots,
    ) -> dict[str, Tensor]:
        beams, index = self.sampler.num_beams, carry["index"]
        logits, state = self._logits(carry, slots)
        vocabulary = logits.shape[-1]
        ways = ops.reshape(
            ops.log_softmax(logits, axis=-1), (-1, beams, vocabulary)
        )
        ways = ways + carry["scores"][:, :, None]
        scores, chosen = ops.top_k(
            ops.reshape(ways, (-1, beams * vocabulary)), 2 * beams
        )
        chosen = ops.cast(chosen, "int32")
        token = ops.mod(chosen, vocabulary)
        origin = ops.floor_divide(chosen, vocabulary)
        tokens = _rows(carry["tokens"], origin)
        here = ops.arange(ops.shape(tokens)[2], dtype="int32") == index
        tokens = ops.where(here, token[:, :, None], tokens)
        stops = ops.any(token[:, :, None] == stop_ids, axis=-1)
        within = (index < limits)[:, None]
        done = self._merge_done(
            carry, index, tokens, scores, ops.logical_and(stops, within)
        )
        scores, order = ops.top_k(ops.where(stops, IMPOSSIBLE, scores), beams)
        order = ops.cast(order, "int32")
        origin = ops.take_along_axis(origin, order, axis=1)
        token = ops.take_along_axis(token, order, axis=1)
        first = ops.arange(ops.shape(origin)[0], dtype="int32") * beams
        rows = ops.reshape(first[:, None] + origin, (-1,))
        alive = {
            "token": ops.reshape(token, (-1, 1)),
            "state": {
                name: ops.take(value, rows, axis=0)
                for name, value in state.items()
            },
            "context": carry["context"],
            "scores": scores,
            "tokens": _rows(tokens, order),
        }
        # A row at its limit keeps what it had while others go on.
        for name in ("scores", "tokens"):
            shape = (-1,) + (1,) * (len(alive[name].shape) - 1)
            keep = ops.reshape(index < limits, shape)
            alive[name] = ops.where(keep, alive[name], carry[name])
        return {**alive, **done, "index": index + 1}

    def _merge_done(
        self,
        carry: dict[str, Tensor],
        index: Tensor,
        tokens: Tensor,
        scores: Tensor,
        stops: Tensor,
    ) -> dict[str, Tensor]:
        """Returns the best finished answers, those of this step included."""
        new = ops.where(stops, self._normalized(scores, index + 1), IMPOSSIBLE)
        counts = ops.zeros_like(stops, dtype="int32") + index + 1
        both = {
            "done_scores": ops.concatenate([carry["done_scores"], new], 1),
            "done_tokens": ops.concatenate([carry["done_tokens"], tokens], 1),
            "done_counts": ops.concatenate([carry["done_counts"], counts], 1),
        }
        scores, order = ops.top_k(both["done_scores"], self.sampler.num_beams)
        order = ops.cast(order, "int32")
        return {
            "done_scores": scores,
            "done_tokens": _rows(both["done_tokens"], order),
            "done_counts": ops.take_along_axis(
                both["done_counts"], order, axis=1
            ),
        }

    def _best(
        self, carry: dict[str, Tensor], length: Tensor
    ) -> dict[str, Tensor]:
        """Orders finished answers and those cut off at the limit together."""
        alive = self._normalized(carry["scores"], length[:, None])
        counts = ops.zeros_like(carry["done_counts"]) + length[:, None]
        scores = ops.concatenate([carry["done_scores"], alive], 1)
        tokens = ops.concatenate([carry["done_tokens"], carry["tokens"]], 1)
        counts = ops.concatenate([carry["done_counts"], counts], 1)
        scores, order = ops.top_k(scores, self.sampler.num_beams)
        order = ops.cast(order, "int32")
        return {
            "tokens": _rows(tokens, order),
            "counts": ops.take_along_axis(counts, order, axis=1),
            "scores": scores,
            "finished": order < self.sampler.num_beams,
        }

    def _normalized(self, scores: Tensor, length: Tensor) -> Tensor:
        length = ops.cast(length, "float32")
        return scores / ops.power(length, self.sampler.length_penalty)

    def _best_hope(
        self, score: Tensor, length: Tensor, limits: Tensor
    ) -> Tensor:
        """Returns what an unfinished answer could still come to."""
        # Scores are negative: a positive penalty is kindest at full length.
        longer = self.sampler.length_penalty > 0
        length = limits if longer else ops.zeros_like(limits) + length + 1
        return self._normalized(score, length)


def _rows(x: Tensor, order: Tensor) -> Tensor:
    """Takes rows of x, (B, K, N), by their indices, (B, J)."""
    return ops.take_along_axis(x, order[:, :, None], axis=1)
