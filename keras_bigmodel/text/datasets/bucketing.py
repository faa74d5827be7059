"""Batches of sequences of about the same length."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from keras_bigmodel.text.datasets.pipeline import Example

SHORTEST_BUCKET = 16


def bucket_lengths(longest: int) -> list[int]:
    """Returns 16, 24, 32, 48, 64, 96, … up to `longest`, which ends them.

    Rows padded to one of these waste little, and a model sees few shapes.
    """
    lengths, power = [], SHORTEST_BUCKET
    while power < longest:
        lengths += [power, power + power // 2]
        power *= 2
    return [length for length in lengths if length < longest] + [longest]


def bucketed(
    examples: Iterable[Example],
    length_of: Callable[[Example], int],
    buckets: Sequence[int],
    batch_size: int,
    drop_remainder: bool,
) -> Iterator[list[Example]]:
    """Yields lists of examples of one bucket, each as soon as it is full.

    Args:
        examples: Examples, none longer than the last bucket.
        length_of: Tells an example's length.
        buckets: Ascending lengths.
        batch_size: Examples in a list.
        drop_remainder: Whether to leave out what fills no list.
    """
    waiting: list[list[Example]] = [[] for _ in buckets]
    for example in examples:
        index = bisect.bisect_left(buckets, length_of(example))
        waiting[index].append(example)
        if len(waiting[index]) == batch_size:
            yield waiting[index]
            waiting[index] = []
    if not drop_remainder:
        yield from filter(None, waiting)


def padded(
    rows: Sequence[np.ndarray], buckets: Sequence[int], value: int
) -> np.ndarray:
    """Returns the rows as one array, as wide as the bucket of the longest."""
    longest = max(len(row) for row in rows)
    width = buckets[bisect.bisect_left(buckets, longest)]
    matrix = np.full((len(rows), width), value, np.int32)
    for target, row in zip(matrix, rows, strict=True):
        target[: len(row)] = row
    return matrix


def encode_limited(
    tokenizer: Any,
    texts: list[str],
    ends: tuple[Sequence[int], Sequence[int]],
    longest: int,
    too_long: str,
) -> list[np.ndarray | None]:
    """Returns each text's ids between the ids that begin and end a row.

    Args:
        tokenizer: What encodes.
        texts: The texts.
        ends: The ids put before and behind each text.
        longest: The most ids in a row, these included.
        too_long: "error", "cut" to shorten a text, or "drop" to return None
            in its place.

    Raises:
        ValueError: where a text is too long and `too_long` is "error".
    """
    prefix, suffix = (np.array(ids, np.int32) for ids in ends)
    room = longest - len(prefix) - len(suffix)
    rows: list[np.ndarray | None] = []
    encoded = tokenizer.encode(texts, add_special_tokens=False)
    for text, row in zip(texts, encoded, strict=True):
        if len(row) > room and too_long == "drop":
            rows.append(None)
            continue
        if len(row) > room and too_long == "error":
            raise ValueError(
                f"A text has {len(row)} tokens and a row has room for {room}. "
                'Raise `sequence_length`, or pass too_long="cut" or "drop". '
                f"Received: text={text!r:.60}"
            )
        tokens = np.array(row[:room], np.int32)
        rows.append(np.concatenate([prefix, tokens, suffix]))
    return rows


def check_too_long(too_long: str) -> None:
    """Raises where the choice for long texts is none of the three."""
    if too_long not in ("error", "cut", "drop"):
        raise ValueError(
            '`too_long` must be "error", "cut" or "drop". '
            f"Received: too_long={too_long!r}"
        )


def check_pad_id(tokenizer: Any) -> int:
    """Returns the tokenizer's `pad_id`, which it must have."""
    if tokenizer.pad_id is None:
        raise ValueError(
            "Rows of several lengths need a tokenizer with a `pad_id`, so that "
            "the model can tell the padding. "
            f"Received: tokenizer={tokenizer!r} with pad_id=None"
        )
    return tokenizer.pad_id
