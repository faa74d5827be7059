"""Datasets that teach a model to predict the next token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bigmodel.text.datasets.packing import pack
from keras_bigmodel.text.datasets.pipeline import (
    EncodedSource,
    batched,
    check_at_least,
    cut,
    documents,
    encode_texts,
    one_token,
    shuffled,
    to_dataset,
)
from keras_bigmodel.text.sources import Source

if TYPE_CHECKING:
    import tensorflow as tf


def language_model_dataset(
    texts: Any,
    tokenizer: Any,
    sequence_length: int,
    batch_size: int,
    *,
    packed: bool = False,
    overlap: int = 0,
    drop_remainder: bool = False,
    shuffle: bool = False,
    shuffle_buffer: int = 10_000,
    seed: int = 0,
    repeat: bool = False,
    field: str = "text",
) -> tf.data.Dataset:
    """Makes a dataset of token windows and the tokens that follow them.

    Each document becomes `start_id`, its tokens, `end_id` (where the tokenizer
    has them). By default all documents form one stream, which is cut into
    windows: the window's inputs are tokens `t … t + L - 1`, its labels tokens
    `t + 1 … t + L`, and the next window goes on at `t + L`, so that every
    token but the first is predicted exactly once. The last window is padded,
    with weight 0 on the padding.

    With `packed=True` whole documents share rows instead. The inputs are then
    a dict with `segment_ids` beside `token_ids`: 1, 2, … for the documents of
    a row, 0 for padding; a model given both restarts positions at every
    document and lets none see another. No label crosses documents. A document
    longer than a row is cut into several segments.

    What is small (up to 16 million bytes) is encoded once, when the dataset
    is made; what is larger is read, encoded and forgotten again in every
    epoch, with flat memory.

    Args:
        texts: A `pathlib.Path` of a file or folder (`.txt`, `.jsonl`,
            `.parquet`, each also as `.gz`), a text, or a list of paths or of
            texts. A plain `str` is a text, never a file's name.
        tokenizer: What encodes the texts.
        sequence_length: Tokens in a row, `L` above.
        batch_size: Rows in a batch.
        packed: Whether to pack whole documents, see above.
        overlap: How many tokens each window reads again from the one before,
            as context with weight 0. A larger overlap makes an evaluation
            slower and its context longer. Not for packed rows.
        drop_remainder: Whether to leave out the padded last window and the
            incomplete last batch, so that all shapes are fixed.
        shuffle: Whether to shuffle the order of the files and then the rows,
            anew in each epoch.
        shuffle_buffer: How many rows are held to draw from. Where it is
            smaller than the data, the order is random only locally.
        seed: Where the order comes from. The same seed gives the same order.
        repeat: Whether to go on with epoch after epoch without end, for
            `fit(steps_per_epoch=...)`; then `dataset.skip(steps)` resumes
            exactly where an earlier run stopped.
        field: The field that holds the text in `.jsonl` and `.parquet`.

    Returns:
        A dataset of `(token_ids, next_ids, sample_weight)`, int32, int32 and
        float32, each (batch, sequence). Where no weight can be 0 (neither
        packed nor overlapping, remainder dropped) it is `(token_ids,
        next_ids)`. Packed, `token_ids` is `{"token_ids", "segment_ids"}`.

    Raises:
        ValueError: where a file is missing, unknown or not UTF-8, where the
            texts hold less than one window, or where a number is out of range.

    Example:
    ```python
    import keras_bigmodel as kbm

    tokenizer = kbm.text.ByteTokenizer()
    texts = ["to be, or not to be", "that is the question"]
    dataset = kbm.text.language_model_dataset(texts, tokenizer, 8, 2)
    token_ids, next_ids, sample_weight = next(iter(dataset))
    token_ids.shape  # (2, 8)
    ```
    """
    import tensorflow as tf

    check_at_least(1, sequence_length=sequence_length, batch_size=batch_size)
    check_at_least(0, overlap=overlap, seed=seed)
    check_at_least(1, shuffle_buffer=shuffle_buffer)
    if overlap and (packed or overlap >= sequence_length):
        raise ValueError(
            "Windows may overlap by less than their length, and packed rows "
            f"not at all. Received: overlap={overlap}, sequence_length="
            f"{sequence_length}, packed={packed}"
        )
    source = EncodedSource(
        Source(texts, {field: str}),
        lambda records: encode_texts(tokenizer, records),
    )
    pad_id = tokenizer.pad_id or 0

    def rows(rng: np.random.Generator | None) -> Iterator[Any]:
        pieces = source.read(rng)
        if packed:
            ends = tokenizer.start_id, tokenizer.end_id
            chunks = (
                chunk
                for document in documents(pieces, *ends)
                # Neighbours share a token: a label here, an input there.
                for chunk in cut(document, sequence_length + 1, 1)
            )
            return pack(chunks, sequence_length, pad_id)
        return _windows(
            cut(_stream(pieces, tokenizer), sequence_length + 1, overlap + 1),
            sequence_length,
            overlap,
            pad_id,
            with_weights,
        )

    def batches(rng: np.random.Generator | None) -> Iterator[Any]:
        examples = rows(rng)
        if rng is not None:
            examples = shuffled(examples, shuffle_buffer, rng)
        return batched(examples, batch_size, drop_remainder)

    with_weights = bool(packed or overlap or not drop_remainder)
    _check_long_enough(next(rows(None), None), packed, sequence_length)
    spec = tf.TensorSpec(
        (batch_size if drop_remainder else None, sequence_length), tf.int32
    )
    inputs = {"token_ids": spec, "segment_ids": spec} if packed else spec
    weights = (tf.TensorSpec(spec.shape, tf.float32),) if with_weights else ()
    signature = (inputs, spec, *weights)
    return to_dataset(
        batches,
        signature,
        seed=seed if shuffle else None,
        repeat=repeat,
        countable=source.in_memory,
    )


def _stream(pieces: Any, tokenizer: Any) -> Iterator[np.ndarray]:
    """Yields the tokens of all documents, one document behind the other."""
    start, end = tokenizer.start_id, tokenizer.end_id
    if start == end:
        # One token that serves as both stands once between two documents.
        yield one_token(start)
        start = None
    for document in documents(pieces, start, end):
        yield from document


def _windows(
    chunks: Iterable[np.ndarray],
    length: int,
    overlap: int,
    pad_id: int,
    with_weights: bool,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yields inputs, labels and weights of chunks of `length + 1` tokens."""
    context = 0
    for chunk in chunks:
        missing = length + 1 - len(chunk)
        if missing and not with_weights:
            return
        weights = np.zeros(length, np.float32)
        weights[context : len(chunk) - 1] = 1
        if missing:
            chunk = np.pad(chunk, (0, missing), constant_values=pad_id)
        window = chunk[:-1], chunk[1:]
        yield (*window, weights) if with_weights else window
        context = overlap


def _check_long_enough(
    first: tuple | None, packed: bool, sequence_length: int
) -> None:
    hint = "A str is a text; wrap the name of a file in pathlib.Path."
    if first is None and packed:
        raise ValueError(
            "The texts hold not one token to predict. "
            f"{hint} Received: texts without tokens"
        )
    whole = first is not None and len(first) == 2
    if first is None or not (packed or whole or first[-1].all()):
        have = 0 if first is None else 1 + int(first[-1].sum())
        raise ValueError(
            "The texts are shorter than one window, which takes "
            f"sequence_length + 1 = {sequence_length + 1} tokens: give more "
            f"text or a smaller sequence_length. {hint} "
            f"Received: sequence_length={sequence_length}, and "
            f"{have or 'too few'} tokens"
        )
