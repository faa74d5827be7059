"""Processors: change the logits before a sampler sees them.

A processor is a frozen description with three functions: `start` makes its
memory from the prompts, `process` changes the logits, and `update` tells the
memory of the token that was picked. Memory is a dict of tensors, batch first.
"""

import dataclasses
from typing import Any

import numpy as np
from keras import ops

Tensor = Any

# A logit no softmax gives a chance, and yet finite.
FORBIDDEN = -1e30


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
        logits = penalize_repetition(
            logits, occurred, parameters["repetition_penalty"]
        )
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


def penalize_repetition(
    logits: Tensor, occurred: Tensor, penalty: Tensor
) -> Tensor:
    """Returns the logits, those of tokens that occurred less by a factor.

    Args:
        logits: float32, (B, V).
        occurred: Booleans, (B, V).
        penalty: float32, (B,); 1 changes nothing.
    """
    factor = penalty[:, None]
    scaled = ops.where(logits > 0, logits / factor, logits * factor)
    return ops.where(occurred, scaled, logits)


def places(token_ids: Tensor) -> Tensor:
    """Returns where the tokens, (B, T), are in (B, V): int32 (B * T, 2)."""
    rows = ops.arange(ops.shape(token_ids)[0], dtype="int32")[:, None]
    rows = ops.broadcast_to(rows, ops.shape(token_ids))
    return ops.reshape(ops.stack([rows, token_ids], axis=-1), (-1, 2))


def _count(counts: Tensor, token_ids: Tensor, amounts: Tensor) -> Tensor:
    """Adds `amounts`, (B, T), to the counts, (B, V), of the tokens."""
    return ops.scatter_update(
        counts,
        places(token_ids),
        ops.reshape(amounts, (-1,)),
        reduction="add",
    )


@dataclasses.dataclass(frozen=True)
class BannedTokens:
    """Never lets some tokens be picked.

    Args:
        token_ids: The tokens.

    Raises:
        ValueError: If there are none.
    """

    token_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "token_ids", tuple(self.token_ids))
        if not self.token_ids or min(self.token_ids) < 0:
            raise ValueError(
                "`token_ids` must name tokens. "
                f"Received: token_ids={self.token_ids}"
            )

    def start(self, prompt_ids: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Returns no memory."""
        return {}

    def process(
        self,
        logits: Tensor,
        memory: dict[str, Tensor],
        count: Tensor,
        parameters: dict[str, Tensor],
    ) -> Tensor:
        """Returns the logits without those tokens."""
        _check_vocabulary(self.token_ids, logits)
        if len(set(self.token_ids)) == logits.shape[-1]:
            raise ValueError(
                "Some token must be left to pick. Received: token_ids with all "
                f"{logits.shape[-1]} tokens of the vocabulary"
            )
        return ops.where(_one_of(self.token_ids, logits), FORBIDDEN, logits)

    def update(
        self, memory: dict[str, Tensor], picked: Tensor
    ) -> dict[str, Tensor]:
        """Returns no memory."""
        return memory


@dataclasses.dataclass(frozen=True)
class BannedPhrases:
    """Never lets some runs of tokens be completed.

    A phrase that began in the prompt counts too.

    Args:
        phrases: Runs of token ids.

    Raises:
        ValueError: If there are none or one is empty.
    """

    phrases: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        phrases = tuple(tuple(phrase) for phrase in self.phrases)
        object.__setattr__(self, "phrases", phrases)
        if not phrases or not all(phrases):
            raise ValueError(
                "`phrases` must hold runs of tokens, none of them empty. "
                f"Received: phrases={phrases}"
            )

    def start(self, prompt_ids: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Remembers each row's last tokens, (B, longest phrase - 1)."""
        number = max(map(len, self.phrases)) - 1
        lengths = ops.sum(ops.cast(visible, "int32"), axis=1, keepdims=True)
        place = lengths - number + ops.arange(number, dtype="int32")[None, :]
        last = ops.take_along_axis(prompt_ids, ops.maximum(place, 0), axis=1)
        return {"last": ops.where(place < 0, -1, last)}

    def process(
        self,
        logits: Tensor,
        memory: dict[str, Tensor],
        count: Tensor,
        parameters: dict[str, Tensor],
    ) -> Tensor:
        """Returns the logits without tokens that would end a phrase."""
        last = memory["last"]
        for phrase in self.phrases:
            _check_vocabulary(phrase, logits)
            begun = ops.ones_like(logits[:, :1], dtype="bool")
            for back, token in enumerate(reversed(phrase[:-1]), 1):
                same = last[:, last.shape[1] - back, None] == token
                begun = ops.logical_and(begun, same)
            ends = ops.logical_and(begun, _one_of(phrase[-1:], logits))
            logits = ops.where(ends, FORBIDDEN, logits)
        return logits

    def update(
        self, memory: dict[str, Tensor], picked: Tensor
    ) -> dict[str, Tensor]:
        """Remembers the picked tokens."""
        last = ops.concatenate([memory["last"], picked[:, None]], axis=1)
        return {"last": last[:, 1:]}


@dataclasses.dataclass(frozen=True)
class ForcedPrefix:
    """Has every answer begin with some tokens.

    Args:
        token_ids: The tokens.

    Raises:
        ValueError: If there are none.
    """

    token_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "token_ids", tuple(self.token_ids))
        if not self.token_ids or min(self.token_ids) < 0:
            raise ValueError(
                "`token_ids` must name tokens. "
                f"Received: token_ids={self.token_ids}"
            )

    def start(self, prompt_ids: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Returns no memory."""
        return {}

    def process(
        self,
        logits: Tensor,
        memory: dict[str, Tensor],
        count: Tensor,
        parameters: dict[str, Tensor],
    ) -> Tensor:
        """Returns logits that leave the prefix alone, while it lasts."""
        _check_vocabulary(self.token_ids, logits)
        prefix = ops.convert_to_tensor(self.token_ids, "int32")
        number = len(self.token_ids)
        wanted = ops.take(prefix, ops.minimum(count, number - 1), axis=0)
        tokens = ops.arange(logits.shape[-1], dtype="int32")
        other = tokens[None, :] != wanted[:, None]
        forbidden = ops.logical_and(other, (count < number)[:, None])
        return ops.where(forbidden, FORBIDDEN, logits)

    def update(
        self, memory: dict[str, Tensor], picked: Tensor
    ) -> dict[str, Tensor]:
        """Returns no memory."""
        return memory


def _one_of(token_ids: tuple[int, ...], logits: Tensor) -> Tensor:
    """Marks some tokens of the vocabulary, bool (1, V)."""
    marked = np.zeros((1, logits.shape[-1]), "bool")
    marked[0, list(token_ids)] = True
    return ops.convert_to_tensor(marked)


def _check_vocabulary(token_ids: tuple[int, ...], logits: Tensor) -> None:
    size = logits.shape[-1]
    if max(token_ids) >= size or min(token_ids) < 0:
        raise ValueError(
            f"Token ids must be from 0 to {size - 1}. "
            f"Received: token_ids={token_ids}"
        )
