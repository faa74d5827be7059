"""Datasets of pairs: a source text and the target text it becomes."""

from __future__ import annotations

from collections.abc import Iterator
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


def seq2seq_dataset(
    pairs: Any,
    tokenizer: Any,
    sequence_length: int,
    batch_size: int,
    *,
    target_tokenizer: Any = None,
    fields: tuple[str, str] = ("source", "target"),
    too_long: str = "error",
    drop_remainder: bool = False,
    shuffle: bool = False,
    shuffle_buffer: int = 10_000,
    seed: int = 0,
    repeat: bool = False,
) -> tf.data.Dataset:
    """Makes a dataset of source texts and the targets to learn from them.

    With target tokens `y1 … yn`, a row of `target_ids` is `start y1 … yn`,
    what the decoder reads, and the row of labels `y1 … yn end`, what it shall
    predict at the same positions. Both are padded with `pad_id` and weight 0.

    Pairs of about one length share a batch, and its rows are padded to one of
    a few lengths (16, 24, 32, 48, … tokens), so that little is wasted and few
    shapes occur.

    Args:
        pairs: A `pathlib.Path` of a `.jsonl` or `.parquet` file (also as
            `.gz`) or of a folder of these, or a list of `(source, target)`.
        tokenizer: What encodes the sources, special tokens included.
        sequence_length: The most tokens a row of sources or targets may have.
        batch_size: Pairs in a batch.
        target_tokenizer: What encodes the targets; by default `tokenizer`. It
            needs an `end_id`, and a `start_id` or else a `pad_id`, which then
            starts the targets as in T5.
        fields: Where the source and the target are found in files.
        too_long: What becomes of a pair with more tokens: "error", "cut" (its
            end is lost) or "drop".
        drop_remainder: Whether to leave out incomplete batches.
        shuffle: Whether to shuffle the files and then the pairs, anew in each
            epoch.
        shuffle_buffer: How many pairs are held to draw from.
        seed: Where the order comes from.
        repeat: Whether to go on with epoch after epoch without end.

    Returns:
        A dataset of `({"source_ids", "target_ids"}, labels, sample_weight)`,
        int32 and for the weights float32, each (batch, sequence).

    Raises:
        ValueError: where the pairs cannot be read, one is too long, there is
            none, or a tokenizer lacks the special tokens named above.

    Example:
    ```python
    import keras_bigmodel as kbm

    tokenizer = kbm.text.ByteTokenizer()
    pairs = [("good morning", "guten Morgen"), ("thank you", "danke")]
    dataset = kbm.text.seq2seq_dataset(pairs, tokenizer, 32, batch_size=2)
    inputs, labels, sample_weight = next(iter(dataset))
    inputs["source_ids"].shape  # (2, 16)
    ```
    """
    import tensorflow as tf

    check_at_least(1, sequence_length=sequence_length)
    check_at_least(1, batch_size=batch_size, shuffle_buffer=shuffle_buffer)
    check_at_least(0, seed=seed)
    check_too_long(too_long)
    encoder = _PairEncoder(
        tokenizer, target_tokenizer or tokenizer, sequence_length, too_long
    )
    source = EncodedSource(Source(pairs, dict.fromkeys(fields, str)), encoder)
    buckets = bucket_lengths(sequence_length)

    def examples(rng: np.random.Generator | None) -> Iterator[Any]:
        return (pair for pair, _ in source.read(rng) if pair is not None)

    def batches(rng: np.random.Generator | None) -> Iterator[Any]:
        found = examples(rng)
        if rng is not None:
            found = shuffled(found, shuffle_buffer, rng)
        for batch in bucketed(
            found, _longer, buckets, batch_size, drop_remainder
        ):
            yield encoder.stack(batch, buckets)

    if next(examples(None), None) is None:
        raise ValueError(
            "There is no pair to learn from, or all are too long. "
            f"Received: pairs={pairs!r:.200}"
        )
    spec = tf.TensorSpec((None, None), tf.int32)
    weights = tf.TensorSpec((None, None), tf.float32)
    return to_dataset(
        batches,
        ({"source_ids": spec, "target_ids": spec}, spec, weights),
        seed=seed if shuffle else None,
        repeat=repeat,
        countable=source.in_memory,
    )


def _longer(pair: tuple[np.ndarray, np.ndarray]) -> int:
    # A target's last token is predicted but not read.
    return max(len(pair[0]), len(pair[1]) - 1)


class _PairEncoder:
    """Turns pairs of texts into pairs of token arrays, and these to batches."""

    def __init__(
        self, tokenizer: Any, target_tokenizer: Any, length: int, too_long: str
    ):
        self.tokenizer = tokenizer
        self.target_tokenizer = target_tokenizer
        self.length = length
        self.too_long = too_long
        ends = [*tokenizer.prefix_ids, *tokenizer.suffix_ids]
        check_at_least(len(ends) + 1, sequence_length=length)
        self.pad_id = check_pad_id(tokenizer)
        self.target_pad_id = check_pad_id(target_tokenizer)
        self.end_id = target_tokenizer.end_id
        self.start_id = target_tokenizer.start_id
        if self.start_id is None:
            self.start_id = self.target_pad_id
        if self.end_id is None:
            raise ValueError(
                "The target's tokenizer needs an `end_id`, or the model never "
                "learns to stop. Received: end_id=None"
            )

    def __call__(self, records: list[tuple]) -> list[Any]:
        sources = encode_limited(
            self.tokenizer,
            [source for source, _ in records],
            (self.tokenizer.prefix_ids, self.tokenizer.suffix_ids),
            self.length,
            self.too_long,
        )
        targets = encode_limited(
            self.target_tokenizer,
            [target for _, target in records],
            ([self.start_id], [self.end_id]),
            # The decoder reads all but the last of them.
            self.length + 1,
            self.too_long,
        )
        return [
            None if source is None or target is None else (source, target)
            for source, target in zip(sources, targets, strict=True)
        ]

    def stack(self, pairs: list[Any], buckets: list[int]) -> Any:
        """Returns a padded batch of inputs, labels and weights."""
        inputs = {
            "source_ids": padded([s for s, _ in pairs], buckets, self.pad_id),
            "target_ids": padded(
                [t[:-1] for _, t in pairs], buckets, self.target_pad_id
            ),
        }
        labels = padded([t[1:] for _, t in pairs], buckets, self.target_pad_id)
        real = padded([np.ones(len(t) - 1) for _, t in pairs], buckets, 0)
        return inputs, labels, real.astype(np.float32)
