"""What every dataset shares: encoding, shuffling, batching, tf.data."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_bigmodel.text.sources import Source

if TYPE_CHECKING:
    import tensorflow as tf

ENCODED_CHARACTERS = 2**20
IN_MEMORY_SIZE = 2**24

Example = tuple[Any, ...]


def check_at_least(least: int, **numbers: int) -> None:
    """Raises where a named number is not an integer of at least `least`."""
    for name, value in numbers.items():
        whole = isinstance(value, (int, np.integer))
        if not whole or isinstance(value, bool) or value < least:
            raise ValueError(
                f"`{name}` must be an integer of at least {least}. "
                f"Received: {name}={value!r}"
            )


def encode_texts(tokenizer: Any, records: list[tuple]) -> list[np.ndarray]:
    """Returns the token ids of records of one text each."""
    rows = tokenizer.encode(
        [text for (text,) in records], add_special_tokens=False
    )
    return [np.asarray(row, np.int32) for row in rows]


def encode_records(
    records: Iterable[tuple[tuple, bool]],
    encode: Callable[[list[tuple]], list[Any]],
) -> Iterator[tuple[Any, bool]]:
    """Encodes records many at a time, so that the tokenizer is kept busy."""
    held: list[tuple] = []
    ends: list[bool] = []
    size = 0
    for record, end in records:
        held.append(record)
        ends.append(end)
        size += 1 + sum(len(text) for text in record if isinstance(text, str))
        if size >= ENCODED_CHARACTERS:
            yield from zip(encode(held), ends, strict=True)
            held, ends, size = [], [], 0
    if held:
        yield from zip(encode(held), ends, strict=True)


class EncodedSource:
    """A source and what encodes it.

    What is small is encoded here and now, once for all epochs; so mistakes
    in it show at once.
    """

    def __init__(
        self, source: Source, encode: Callable[[list[tuple]], list[Any]]
    ):
        self.source = source
        self.encode = encode
        size = source.size
        self.in_memory = size is not None and size <= IN_MEMORY_SIZE
        if self.in_memory:
            self._kept = list(encode_records(source.read(), encode))

    def read(
        self, rng: np.random.Generator | None
    ) -> Iterator[tuple[Any, bool]]:
        """Yields each encoded piece, and whether its record ends there."""
        if self.in_memory:
            return iter(self._kept)
        return encode_records(self.source.read(rng), self.encode)


def documents(
    pieces: Iterable[tuple[np.ndarray, bool]],
    start: int | None = None,
    end: int | None = None,
) -> Iterator[Iterator[np.ndarray]]:
    """Yields each document that is not empty, as arrays of its tokens.

    Args:
        pieces: Tokens, and whether their document ends there.
        start: What stands before each document, None for nothing.
        end: What stands behind each document, None for nothing.
    """
    pieces = iter(pieces)
    for tokens, last in pieces:
        if len(tokens) or not last:
            yield _document(tokens, last, pieces, start, end)


def _document(
    tokens: np.ndarray,
    last: bool,
    pieces: Iterator[tuple[np.ndarray, bool]],
    start: int | None,
    end: int | None,
) -> Iterator[np.ndarray]:
    yield one_token(start)
    yield tokens
    while not last:
        tokens, last = next(pieces)
        yield tokens
    yield one_token(end)


def one_token(token_id: int | None) -> np.ndarray:
    """Returns the token as an array, which is empty for None."""
    return np.array([] if token_id is None else [token_id], np.int32)


def cut(
    arrays: Iterable[np.ndarray], size: int, overlap: int = 0
) -> Iterator[np.ndarray]:
    """Cuts tokens into chunks of `size`; the last one may be shorter.

    Every chunk but the first begins with the last `overlap` tokens of the one
    before.
    """
    held, known = np.empty(0, np.int32), 0
    for tokens in arrays:
        held, start = np.concatenate([held, tokens]), 0
        while len(held) - start >= size:
            # A copy, so that a buffer of chunks holds nothing else alive.
            yield held[start : start + size].copy()
            start, known = start + size - overlap, overlap
        held = held[start:]
    if len(held) > known:
        yield held.copy()


def shuffled(
    items: Iterable[Any], buffer_size: int, rng: np.random.Generator
) -> Iterator[Any]:
    """Yields the items in random order, drawn from a buffer kept full."""
    buffer: list[Any] = []
    for item in items:
        if len(buffer) < buffer_size:
            buffer.append(item)
            continue
        index = rng.integers(buffer_size)
        item, buffer[index] = buffer[index], item
        yield item
    for index in rng.permutation(len(buffer)):
        yield buffer[index]


def batched(
    examples: Iterable[Any], batch_size: int, drop_remainder: bool
) -> Iterator[Any]:
    """Stacks examples of equal shapes, whatever structure they have."""
    examples = iter(examples)
    while batch := list(itertools.islice(examples, batch_size)):
        if len(batch) == batch_size or not drop_remainder:
            yield keras.tree.map_structure(
                lambda *parts: np.stack(parts), *batch
            )


def to_dataset(
    batches: Callable[[np.random.Generator | None], Iterator[Any]],
    signature: Any,
    seed: int | None,
    repeat: bool,
    countable: bool,
) -> tf.data.Dataset:
    """Makes a dataset of what `batches` yields, epoch after epoch.

    Args:
        batches: Called with the epoch's random generator, None where nothing
            is drawn.
        signature: The `tf.TensorSpec`s of a batch.
        seed: Where each epoch's order comes from; None where it is fixed.
        repeat: Whether one pass goes on through epochs without end.
        countable: Whether the batches of an epoch can be counted quickly, so
            that a progress bar knows its end.
    """
    import tensorflow as tf

    passes = itertools.count()

    def one_epoch(epoch: int) -> Iterator[Any]:
        if seed is None:
            return batches(None)
        return batches(np.random.default_rng([seed, epoch]))

    def generate() -> Iterator[Any]:
        if not repeat:
            yield from one_epoch(next(passes))
            return
        for epoch in itertools.count():
            yield from one_epoch(epoch)

    dataset = tf.data.Dataset.from_generator(
        generate, output_signature=signature
    )
    if repeat or countable:
        steps = tf.data.INFINITE_CARDINALITY
        if not repeat:
            steps = sum(1 for _ in batches(None))
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    return dataset.prefetch(tf.data.AUTOTUNE)
