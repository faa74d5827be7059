"""Sampling where each row of a batch has its own options, greedy ones too."""

import dataclasses
from typing import Any

from keras import ops

from keras_bigmodel.generation.processors import penalize_repetition, places
from keras_bigmodel.generation.samplers import Greedy, Sample

Tensor = Any


class RowSampler:
    """Draws as `kbm.samplers.Sample`; temperature 0 is greedy.

    A batch of greedy rows does none of the sampling's work.
    """

    def __init__(self) -> None:
        self._greedy = Greedy()
        # Values that turn each part on; those that count come with the rows.
        self._sample = Sample(top_k=1, top_p=0.5, min_p=0.5)

    def pick(
        self, logits: Tensor, uniforms: Tensor, parameters: dict[str, Tensor]
    ) -> Tensor:
        """Returns the chosen ids, int32 (B,), for logits (B, V).

        Args:
            logits: float32, (B, V).
            uniforms: One random number in [0, 1) for each row, (B,).
            parameters: Those of `Sample.parameters`, (B,) each.
        """
        greedy = self._greedy.pick(logits, uniforms, parameters)
        temperature = parameters["temperature"]
        is_random = temperature > 0

        def draw() -> Tensor:
            rows = {
                **parameters,
                "temperature": ops.where(is_random, temperature, 1.0),
            }
            return self._sample.pick(logits, uniforms, rows)

        drawn = ops.cond(ops.any(is_random), draw, lambda: greedy)
        return ops.where(is_random, drawn, greedy)


@dataclasses.dataclass(frozen=True)
class RowPenalty:
    """The repetition penalty, which costs little where no row has one.

    Args:
        vocabulary_size: Number of tokens.
    """

    vocabulary_size: int

    def start(self, prompt_ids: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Returns which tokens are in the prompts, (B, V)."""
        shape = (ops.shape(prompt_ids)[0], self.vocabulary_size)
        # Padding stands behind, where the first token is for once more.
        token_ids = ops.where(visible, prompt_ids, prompt_ids[:, :1])
        return {"occurred": _mark(ops.zeros(shape, "bool"), token_ids)}

    def process(
        self,
        logits: Tensor,
        memory: dict[str, Tensor],
        count: Tensor,
        parameters: dict[str, Tensor],
    ) -> Tensor:
        """Returns the logits after the penalty."""
        penalty = parameters["repetition_penalty"]
        return ops.cond(
            ops.any(penalty != 1.0),
            lambda: penalize_repetition(logits, memory["occurred"], penalty),
            lambda: logits,
        )

    def update(
        self, memory: dict[str, Tensor], picked: Tensor
    ) -> dict[str, Tensor]:
        """Marks the picked tokens."""
        return {"occurred": _mark(memory["occurred"], picked[:, None])}


def _mark(occurred: Tensor, token_ids: Tensor) -> Tensor:
    """Returns `occurred`, (B, V), with tokens, (B, T), that have too."""
    where = places(token_ids)
    yes = ops.ones((ops.shape(where)[0],), "bool")
    return ops.scatter_update(occurred, where, yes)
