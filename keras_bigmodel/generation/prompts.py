"""Reads and checks what a caller gives `generate`."""

import dataclasses
import secrets
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class Prompts:
    """Prompts as rows of ids.

    Args:
        ids: Token ids of each row, at least one.
        is_single: Whether the caller gave one prompt, not a list.
        vocabulary_size: Number of the model's tokens.
    """

    ids: list[list[int]]
    is_single: bool
    vocabulary_size: int

    def stream(self, pieces: Iterator[list[Any]]) -> Iterator[Any]:
        """Yields pieces in the prompts' form, leaving out empty ones."""
        for piece in pieces:
            if any(piece):
                yield piece[0] if self.is_single else piece


def read(prompts: Any, tokenizer: Any, model: keras.Model) -> Prompts:
    """Returns the prompts' ids, checked against the model's vocabulary.

    Raises:
        ValueError: If there is no prompt, a prompt is empty and the tokenizer
            has no start id, there are strings and no tokenizer, or an id is
            not in the vocabulary.
    """
    vocabulary_size = vocabulary_of(model)
    if isinstance(prompts, np.ndarray):
        prompts = prompts.tolist()
    is_single = isinstance(prompts, str) or (
        len(prompts) > 0
        and not isinstance(prompts[0], (str, list, tuple))
        and not isinstance(prompts[0], np.ndarray)
    )
    rows = [prompts] if is_single else list(prompts)
    if not rows:
        raise ValueError(
            "Give at least one prompt. Received: prompts=[] (for an empty "
            'prompt to begin from nothing, give "" with a tokenizer)'
        )
    if any(isinstance(row, str) for row in rows):
        rows = _encode(rows, tokenizer)
    rows = [_checked(row, index, tokenizer) for index, row in enumerate(rows)]
    largest, smallest = max(map(max, rows)), min(map(min, rows))
    if smallest < 0 or largest >= vocabulary_size:
        wrong = smallest if smallest < 0 else largest
        raise ValueError(
            f"Token ids must be from 0 to {vocabulary_size - 1}; does the "
            f"tokenizer belong to the model? Received: token_id={wrong}"
        )
    return Prompts(rows, is_single, vocabulary_size)


def vocabulary_of(model: keras.Model) -> int:
    """Returns the number of tokens that a model scores."""
    shape = getattr(model, "output_shape", None)
    if shape is None:
        # A subclassed model has no shapes until it is called, and must not
        # make its weights inside a graph.
        shape = model(np.zeros((1, 1), "int32")).shape
    return int(shape[-1])


def context_of(model: keras.Model) -> int | None:
    """Returns the longest sequence that a model is meant for, None for any."""
    limits = [
        getattr(layer, "max_sequence_length", None)
        for layer in model._flatten_layers()
    ]
    return min((limit for limit in limits if limit is not None), default=None)


def check_room(
    rows: list[list[int]],
    model: keras.Model,
    max_new_tokens: int,
    beyond_context: bool,
) -> None:
    """Says if prompts and their continuations do not fit the context.

    Raises:
        ValueError: If they do not, or `max_new_tokens` is not positive.
    """
    if not isinstance(max_new_tokens, (int, np.integer)) or max_new_tokens < 1:
        raise ValueError(
            "`max_new_tokens` must be a positive integer. "
            f"Received: max_new_tokens={max_new_tokens}"
        )
    context = context_of(model)
    if context is None or beyond_context:
        return
    longest = max(map(len, rows))
    if longest + max_new_tokens > context:
        raise ValueError(
            f"A prompt of {longest} tokens and {max_new_tokens} new ones do "
            f"not fit the model's context of {context}. Shorten the prompt, "
            "lower `max_new_tokens`, or, if the positions are relative, set "
            f"`beyond_context=True`. Received: max_new_tokens={max_new_tokens}"
        )


def seeds_of(seed: Any, batch_size: int) -> np.ndarray:
    """Returns a seed for each row, int32.

    Raises:
        ValueError: If there are several seeds and not one for each row.
    """
    if seed is None:
        seeds = [secrets.randbits(32) for _ in range(batch_size)]
    elif np.ndim(seed) == 0:
        seeds = [int(seed)] * batch_size
    else:
        seeds = [int(entry) for entry in seed]
    if len(seeds) != batch_size:
        raise ValueError(
            "`seed` must be one number or one for each prompt. Received: "
            f"len(seed)={len(seeds)}, prompts={batch_size}"
        )
    return np.array([entry % 2**32 for entry in seeds], "uint32").view("int32")


def pad(rows: list[list[int]]) -> dict[str, np.ndarray]:
    """Returns the rows as one array, padded behind, and their lengths."""
    lengths = np.array([len(row) for row in rows], "int32")
    ids = np.zeros((len(rows), lengths.max()), "int32")
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
    return {"prompt_ids": ids, "lengths": lengths}


def _encode(rows: list[Any], tokenizer: Any) -> list[list[int]]:
    if tokenizer is None:
        raise ValueError(
            "Prompts that are strings need a tokenizer. "
            f"Received: prompts[0]={rows[0]!r}, tokenizer=None"
        )
    if not all(isinstance(row, str) for row in rows):
        raise ValueError(
            "Prompts must be all strings or all lists of ids. "
            f"Received: {sorted({type(row).__name__ for row in rows})}"
        )
    return tokenizer.encode(rows)


def _checked(row: Any, index: int, tokenizer: Any) -> list[int]:
    start_id = getattr(tokenizer, "start_id", None)
    if len(row) == 0 and start_id is not None:
        return [start_id]
    if len(row) == 0:
        raise ValueError(
            "An empty prompt needs a tokenizer with a `start_id` to begin "
            f"from. Received: prompts[{index}] without tokens"
        )
    if any(isinstance(entry, bool) or entry != int(entry) for entry in row):
        raise ValueError(
            f"Token ids must be integers. Received: prompts[{index}]={row}"
        )
    return [int(entry) for entry in row]
