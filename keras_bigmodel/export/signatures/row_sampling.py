"""Sampling where each row of a batch has its own options, greedy ones too."""

import dataclasses
from typing import Any

from keras import ops

from keras_bigmodel.generation.processors import Penalties
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
class RowPenalty(Penalties):
    """The repetition penalty, which costs nothing where no row has one."""

    def process(
        self,
        logits: Tensor,
        memory: dict[str, Tensor],
        count: Tensor,
        parameters: dict[str, Tensor],
    ) -> Tensor:
        """Returns the logits after the penalty."""
        penalty = parameters["repetition_penalty"]
        none = ops.zeros_like(penalty)
        others = {"presence_penalty": none, "frequency_penalty": none}

        def penalized() -> Tensor:
            return Penalties.process(
                self, logits, memory, count, {**parameters, **others}
            )

        return ops.cond(ops.any(penalty != 1.0), penalized, lambda: logits)
