"""Datasets that teach a model to fill in words left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bigmodel.text.datasets.bucketing import (
    bucket_lengths,
    bucketed,
    check_pad_id,
    padded,
)
from keras_bigmodel.text.datasets.pipeline import (
    EncodedSource,
    check_at_least,
    cut,
    documents,
    encode_texts,
    shuffled,
    to_dataset,
)
from keras_bigmodel.text.datasets.words import WordFinder
from keras_bigmodel.text.sources import Source

if TYPE_CHECKING:
    import tensorflow as tf

MASK_TOKENS = ("[MASK]", "<mask>")


def masked_lm_dataset(
    texts: Any,
    tokenizer: Any,
    sequence_length: int,
    batch_size: int,
    *,
    mask_rate: float = 0.15,
    mask_token: str | None = None,
    drop_remainder: bool = False,
    shuffle: bool = False,
    shuffle_buffer: int = 10_000,
    seed: int = 0,
    repeat: bool = False,
    field: str = "text",
) -> tf.data.Dataset:
    """Makes a dataset of texts with words masked, and the words to find.

    Documents are cut into rows, each between the tokenizer's special tokens.
    Of each row whole words are drawn until they hold `mask_rate` of its
    tokens; at least one word, and never more tokens than that unless the
    first word alone has more. Of the drawn tokens 80 % are replaced by the
    mask token, 10 % by any other token, and 10 % are left as they are. A
    Chinese character is a word of its own.

    Labels are the original tokens, with weight 1 where a token was drawn and
    0 everywhere else.

    Args:
        texts: As for `language_model_dataset`.
        tokenizer: What encodes the texts; it needs a `pad_id`.
        sequence_length: The most tokens in a row, special tokens included.
        batch_size: Rows in a batch.
        mask_rate: The share of tokens to draw, between 0 and 1.
        mask_token: The special token that masks; by default `[MASK]` or
            `<mask>`, whichever the tokenizer has.
        drop_remainder: Whether to leave out incomplete batches.
        shuffle: Whether to shuffle the files and then the rows. Order and
            masks are then new in each epoch; without it they are always the
            same, as an evaluation needs it.
        shuffle_buffer: How many rows are held to draw from.
        seed: Where order and masks come from.
        repeat: Whether to go on with epoch after epoch without end.
        field: The field that holds the text in `.jsonl` and `.parquet`.

    Returns:
        A dataset of `(token_ids, labels, sample_weight)`, int32, int32 and
        float32, each (batch, sequence); rows of about one length share a
        batch and are padded to one of a few lengths.

    Raises:
        ValueError: where the texts cannot be read or are empty, or where the
            tokenizer has no mask token.

    Example:
    ```python
    import keras_bigmodel as kbm

    texts = ["whole words are masked, never parts of them"] * 50
    tokenizer = kbm.text.WordPieceTokenizer.train(texts, 60)
    dataset = kbm.text.masked_lm_dataset(texts, tokenizer, 32, batch_size=8)
    token_ids, labels, sample_weight = next(iter(dataset))
    ```

    References:
        Devlin et al., "BERT", 2019, section 3.1, and the later note on whole
        words in its repository.
    """
    import tensorflow as tf

    check_at_least(1, batch_size=batch_size, shuffle_buffer=shuffle_buffer)
    check_at_least(0, seed=seed)
    pad_id = check_pad_id(tokenizer)
    masking = _Masking(tokenizer, mask_token, mask_rate)
    room = sequence_length - masking.num_ends
    check_at_least(1 + masking.num_ends, sequence_length=sequence_length)
    source = EncodedSource(
        Source(texts, {field: str}),
        lambda records: encode_texts(tokenizer, records),
    )
    buckets = bucket_lengths(sequence_length)

    def chunks(rng: np.random.Generator | None) -> Iterator[np.ndarray]:
        for document in documents(source.read(rng)):
            yield from cut(document, room)

    def batches(rng: np.random.Generator | None) -> Iterator[Any]:
        rows = chunks(rng)
        if rng is not None:
            rows = shuffled(rows, shuffle_buffer, rng)
        draw = rng or np.random.default_rng(seed)
        for batch in bucketed(
            (masking.apply(row, draw) for row in rows),
            lambda row: len(row[0]),
            buckets,
            batch_size,
            drop_remainder,
        ):
            token_ids, labels, weights = zip(*batch, strict=True)
            yield (
                padded(token_ids, buckets, pad_id),
                padded(labels, buckets, pad_id),
                padded(weights, buckets, 0).astype(np.float32),
            )

    if next(chunks(None), None) is None:
        raise ValueError(
            "The texts are empty. A str is a text; wrap the name of a file in "
            f"pathlib.Path. Received: texts={texts!r:.200}"
        )
    spec = tf.TensorSpec((None, None), tf.int32)
    return to_dataset(
        batches,
        (spec, spec, tf.TensorSpec((None, None), tf.float32)),
        seed=seed if shuffle else None,
        repeat=repeat,
        countable=source.in_memory,
    )


class _Masking:
    """Draws words of a row and masks them."""

    def __init__(
        self, tokenizer: Any, mask_token: str | None, mask_rate: float
    ):
        if not 0 < mask_rate < 1:
            raise ValueError(
                "`mask_rate` must lie between 0 and 1. "
                f"Received: mask_rate={mask_rate!r}"
            )
        wanted = MASK_TOKENS if mask_token is None else (mask_token,)
        found = [t for t in wanted if t in tokenizer.special_tokens]
        if not found:
            raise ValueError(
                f"The tokenizer has none of the mask tokens {list(wanted)}; "
                "train it with one, or name its own as `mask_token`. Received: "
                f"special_tokens={list(tokenizer.special_tokens)}"
            )
        self.mask_id = tokenizer.special_tokens[found[0]]
        self.mask_rate = mask_rate
        self.prefix = np.array(tokenizer.prefix_ids, np.int32)
        self.suffix = np.array(tokenizer.suffix_ids, np.int32)
        self.num_ends = len(self.prefix) + len(self.suffix)
        self.words = WordFinder(tokenizer)
        special = list(tokenizer.special_tokens.values())
        self.ordinary = np.setdiff1d(
            np.arange(tokenizer.vocabulary_size, dtype=np.int32), special
        )

    def apply(
        self, tokens: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the row with words masked, the row, and what was drawn."""
        drawn = self._draw(tokens, rng)
        fate = rng.random(len(tokens))
        other = self.ordinary[
            rng.integers(len(self.ordinary), size=len(tokens))
        ]
        masked = np.where(drawn & (fate < 0.8), self.mask_id, tokens)
        masked = np.where(drawn & (fate >= 0.9), other, masked)
        ends = self.prefix, self.suffix
        nothing = np.zeros_like(ends[0]), np.zeros_like(ends[1])
        return tuple(
            np.concatenate([before, row, after])
            for row, (before, after) in (
                (masked, ends),
                (tokens, ends),
                (drawn, nothing),
            )
        )

    def _draw(self, tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Returns True for the tokens of the words that are drawn."""
        words = self.words.number(tokens)
        drawn = np.zeros(len(tokens), bool)
        if not words.max(initial=0):
            return drawn
        sizes = np.bincount(words)
        budget = max(1, round(self.mask_rate * len(tokens)))
        # Word 0 holds the special tokens, which are never drawn.
        order = 1 + rng.permutation(len(sizes) - 1)
        chosen, taken = [], 0
        for word in order:
            if not chosen or taken + sizes[word] <= budget:
                chosen.append(word)
                taken += sizes[word]
            if taken >= budget:
                break
        return np.isin(words, chosen)
