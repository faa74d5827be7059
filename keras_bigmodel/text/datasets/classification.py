"""Datasets of texts and the class each belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bigmodel.text.datasets.bucketing import (
    bucket_lengths,
    bucketed,
    check_pad_id,
    check_too_long,
    encode_limited,
    padded,
)
from keras_bigmodel.text.datasets.pipeline import (
    EncodedSource,
    check_at_least,
    shuffled,
    to_dataset,
)
from keras_bigmodel.text.sources import Source

if TYPE_CHECKING:
    import tensorflow as tf


def classification_dataset(
    examples: Any,
    tokenizer: Any,
    sequence_length: int,
    batch_size: int,
    *,
    label_names: Sequence[str] | None = None,
    fields: tuple[str, str] = ("text", "label"),
    too_long: str = "error",
    drop_remainder: bool = False,
    shuffle: bool = False,
    shuffle_buffer: int = 10_000,
    seed: int = 0,
    repeat: bool = False,
) -> tf.data.Dataset:
    """Makes a dataset of token ids and class numbers.

    Texts of about one length share a batch, and its rows are padded with
    `pad_id` to one of a few lengths (16, 24, 32, 48, … tokens).

    Args:
        examples: A `pathlib.Path` of a `.jsonl` or `.parquet` file (also as
            `.gz`) or of a folder of these, or a list of `(text, label)`.
        tokenizer: What encodes the texts, special tokens included.
        sequence_length: The most tokens a row may have.
        batch_size: Texts in a batch.
        label_names: The classes in the order of their numbers, where the
            labels are names. None: they are numbers from 0.
        fields: Where the text and the label are found in files.
        too_long: What becomes of a text with more tokens: "error", "cut" (its
            end is lost, special tokens are kept) or "drop".
        drop_remainder: Whether to leave out incomplete batches.
        shuffle: Whether to shuffle the files and then the texts, anew in each
            epoch.
        shuffle_buffer: How many texts are held to draw from.
        seed: Where the order comes from.
        repeat: Whether to go on with epoch after epoch without end.

    Returns:
        A dataset of `(token_ids, labels)`, int32, (batch, sequence) and
        (batch,).

    Raises:
        ValueError: where the examples cannot be read, one is too long, a
            label is unknown, or there is no example.

    Example:
    ```python
    import keras_bigmodel as kbm

    dataset = kbm.text.classification_dataset(
        [("what a day", "good"), ("oh no", "bad")],
        kbm.text.ByteTokenizer(),
        sequence_length=32,
        batch_size=2,
        label_names=["bad", "good"],
    )
    token_ids, labels = next(iter(dataset))  # labels: [1, 0]
    ```
    """
    import tensorflow as tf

    check_at_least(1, sequence_length=sequence_length, batch_size=batch_size)
    check_at_least(1, shuffle_buffer=shuffle_buffer)
    check_at_least(0, seed=seed)
    check_too_long(too_long)
    pad_id = check_pad_id(tokenizer)
    encoder = _LabelledEncoder(
        tokenizer, sequence_length, too_long, label_names
    )
    types = dict(zip(fields, (str, (str, int)), strict=True))
    source = EncodedSource(Source(examples, types), encoder)
    buckets = bucket_lengths(sequence_length)

    def rows(rng: np.random.Generator | None) -> Iterator[Any]:
        return (row for row, _ in source.read(rng) if row is not None)

    def batches(rng: np.random.Generator | None) -> Iterator[Any]:
        found = rows(rng)
        if rng is not None:
            found = shuffled(found, shuffle_buffer, rng)
        for batch in bucketed(
            found, lambda row: len(row[0]), buckets, batch_size, drop_remainder
        ):
            token_ids = padded([ids for ids, _ in batch], buckets, pad_id)
            yield token_ids, np.array([label for _, label in batch], np.int32)

    if next(rows(None), None) is None:
        raise ValueError(
            "There is no text to learn from, or all are too long. "
            f"Received: examples={examples!r:.200}"
        )
    return to_dataset(
        batches,
        (
            tf.TensorSpec((None, None), tf.int32),
            tf.TensorSpec((None,), tf.int32),
        ),
        seed=seed if shuffle else None,
        repeat=repeat,
        countable=source.in_memory,
    )


class _LabelledEncoder:
    """Turns texts and labels into token arrays and class numbers."""

    def __init__(
        self,
        tokenizer: Any,
        length: int,
        too_long: str,
        label_names: Sequence[str] | None,
    ):
        self.tokenizer = tokenizer
        self.ends = tokenizer.prefix_ids, tokenizer.suffix_ids
        self.length = length
        check_at_least(1 + sum(map(len, self.ends)), sequence_length=length)
        self.too_long = too_long
        self.numbers = None
        if label_names is not None:
            self.numbers = {name: i for i, name in enumerate(label_names)}
            if len(self.numbers) < len(label_names):
                raise ValueError(
                    "Each class needs a name of its own. "
                    f"Received: label_names={list(label_names)}"
                )

    def __call__(self, records: list[tuple]) -> list[Any]:
        texts = [text for text, _ in records]
        rows = encode_limited(
            self.tokenizer, texts, self.ends, self.length, self.too_long
        )
        numbers = [self._number(label) for _, label in records]
        return [
            None if row is None else (row, number)
            for row, number in zip(rows, numbers, strict=True)
        ]

    def _number(self, label: str | int) -> int:
        if self.numbers is not None:
            if label not in self.numbers:
                raise ValueError(
                    "A label is none of `label_names`, which are "
                    f"{list(self.numbers)}. Received: label={label!r}"
                )
            return self.numbers[label]
        if isinstance(label, (str, bool)) or not 0 <= label < 2**31:
            raise ValueError(
                "Labels are numbers from 0, or else pass their names as "
                f"`label_names`. Received: label={label!r}"
            )
        return label
