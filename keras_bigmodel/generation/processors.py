"""Processors: change the logits before a sampler sees them.

A processor is a frozen description with three functions: `start` makes its
memory from the prompts, `process` changes the logits, and `update` tells the
memory of the token that was picked. Memory is a dict of tensors, batch first.
"""

import dataclasses
from typing import Any

from keras import ops

Tensor = Any


@dataclasses.dataclass(frozen=True)
class Penalties:
    """Makes tokens that occurred less probable, as `Sample` describes.

    Args:
        vocabulary_size: Number of tokens.
    """

    vocabulary_size: int

    def start(self, prompt_ids: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Counts the prompt's tokens, (B, V)."""
        ones = ops.cast(visible, "int32")
        batch = ops.shape(prompt_ids)[0]
        zeros = ops.zeros((batch, self.vocabulary_size), "int32")
        return {"prompt": _count(zeros, prompt_ids, ones), "generated": zeros}

    def process(
        self,
        logits: Tensor,
        memory: dict[str, Tensor],
        count: Tensor,
        parameters: dict[str, Tensor],
    ) -> Tensor:
        """Returns the logits after the three penalties."""
        generated = memory["generated"]
        occurred = memory["prompt"] + generated > 0
        factor = parameters["repetition_penalty"][:, None]
        scaled = ops.where(logits > 0, logits / factor, logits * factor)
        logits = ops.where(occurred, scaled, logits)
        presence = parameters["presence_penalty"][:, None]
        logits = logits - presence * ops.cast(generated > 0, "float32")
        frequency = parameters["frequency_penalty"][:, None]
        return logits - frequency * ops.cast(generated, "float32")

    def update(
        self, memory: dict[str, Tensor], picked: Tensor
    ) -> dict[str, Tensor]:
        """Counts the picked tokens."""
        ones = ops.ones_like(picked)[:, None]
        generated = _count(memory["generated"], picked[:, None], ones)
        return {**memory, "generated": generated}


def _count(counts: Tensor, token_ids: Tensor, amounts: Tensor) -> Tensor:
    """Adds `amounts`, (B, T), to the counts, (B, V), of the tokens."""
    rows = ops.arange(ops.shape(token_ids)[0], dtype="int32")[:, None]
    rows = ops.broadcast_to(rows, ops.shape(token_ids))
    where = ops.reshape(ops.stack([rows, token_ids], axis=-1), (-1, 2))
    return ops.scatter_update(
        counts, where, ops.reshape(amounts, (-1,)), reduction="add"
    )
