"""Signature `score`: how probable a model finds texts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from keras_bigmodel.export.signatures.room import check_room
from keras_bigmodel.export.signatures.signature import Signature
from keras_bigmodel.layers.decoding import DecodingScope
from keras_bigmodel.layers.kernels import Kernels

# Logits of one piece of the texts, in numbers: 256 MB of float32.
PIECE_SIZE = 2**26
LONGEST_PIECE = 512


class Score:
    """Log-probabilities of each token of a text after those before it.

    The first token has nothing before it and is not scored.

    Args:
        served: The `LanguageModel`.
    """

    def __init__(self, served: Any) -> None:
        self._served = served

    def signature(self) -> Signature:
        """Returns the signature."""
        examples = [text for text in self._served.examples if text] or ["a"]
        return Signature(
            self.call,
            {"texts": tf.TensorSpec([None], tf.string)},
            lambda: [{"texts": examples}],
            self.expect,
        )

    def call(self, texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the scores of texts, as `scores` gives them.

        Args:
            texts: Strings, (B,).
        """
        served = self._served
        token_ids, lengths = served.door.read(texts, "texts")
        token_ids, lengths = check_room(
            token_ids,
            lengths,
            tf.zeros_like(lengths),
            served.limits,
            served.context,
        )
        return scores(
            served.model,
            token_ids,
            lengths,
            served.vocabulary_size,
            served.decoder.prompt_kernels,
        )

    def expect(self, example: dict[str, Any]) -> dict[str, Any]:
        """Returns an example's scores by whole passes, a text at a time."""
        rows = self._served.tokenizer.encode(example["texts"])
        return expected_scores(lambda index, row: self._served.model(row), rows)


class PairScore:
    """Log-probabilities of each token of a target, given its source.

    A target is read as in training, between the start and the end token; all
    but the start token are scored.

    Args:
        served: The `SequenceToSequence`.
    """

    def __init__(self, served: Any) -> None:
        self._served = served

    def signature(self) -> Signature:
        """Returns the signature."""
        texts = tf.TensorSpec([None], tf.string)
        examples = {
            "source_texts": self._served.examples,
            "target_texts": self._served.examples[::-1],
        }
        return Signature(
            self.call,
            {"source_texts": texts, "target_texts": texts},
            lambda: [examples],
            self.expect,
        )

    def call(
        self, source_texts: tf.Tensor, target_texts: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns the scores of targets, as `scores` gives them.

        Args:
            source_texts: Strings, (B,).
            target_texts: Strings, (B,).
        """
        served = self._served
        ids, lengths = served.door.read_between(
            target_texts, "target_texts", *served.target_frame
        )
        context = served.read_sources(source_texts, lengths)
        return scores(
            lambda token_ids: served.step(token_ids, context),
            ids,
            lengths,
            served.vocabulary_size,
            served.decoder.prompt_kernels,
        )

    def expect(self, example: dict[str, Any]) -> dict[str, Any]:
        """Returns an example's scores by whole passes, a pair at a time."""
        served = self._served
        sources = served.source_rows(example["source_texts"])
        targets = served.target_rows(example["target_texts"])

        def logits(index: int, row: np.ndarray) -> Any:
            source_ids = np.array([sources[index]], "int32")
            return served.model({"source_ids": source_ids, "target_ids": row})

        return expected_scores(logits, targets)


def scores(
    step: Callable[[tf.Tensor], tf.Tensor],
    token_ids: tf.Tensor,
    lengths: tf.Tensor,
    vocabulary_size: int,
    kernels: Kernels | None = None,
) -> dict[str, tf.Tensor]:
    """Returns what a signature that scores answers.

    Args:
        step: From token ids to logits, under a decoding scope.
        token_ids: int32, (B, T).
        lengths: int32, (B,).
        vocabulary_size: Number of the logits.
        kernels: How the texts are read; None: in Keras's way.

    Returns:
        `token_ids` and `token_log_probabilities`, (B, T), zeros behind each
        text; `num_tokens`, those that were scored; their `log_likelihood`,
        natural logarithm; and `perplexity`, 1 where nothing was scored.
    """
    found = _in_pieces(step, token_ids, vocabulary_size, kernels)
    column = tf.range(tf.shape(token_ids)[1])[None]
    is_scored = (column > 0) & (column < lengths[:, None])
    found = tf.where(is_scored, found, 0.0)
    likelihood = tf.reduce_sum(found, axis=1)
    count = tf.cast(tf.maximum(lengths - 1, 1), tf.float32)
    return {
        "token_ids": token_ids,
        "token_log_probabilities": found,
        "num_tokens": lengths - 1,
        "log_likelihood": likelihood,
        "perplexity": tf.exp(-likelihood / count),
    }


def expected_scores(
    logits_of: Callable[[int, np.ndarray], Any], rows: list[list[int]]
) -> dict[str, Any]:
    """Returns what rows of ids must score.

    Args:
        logits_of: From a row's index and its ids, (1, T), to logits.
        rows: The ids.
    """
    likelihoods = []
    for index, row in enumerate(rows):
        logits = logits_of(index, np.array([row], "int32"))
        found = ops.log_softmax(ops.cast(logits[0], "float32"), axis=-1)
        found = ops.convert_to_numpy(found)
        likelihoods.append(found[np.arange(len(row) - 1), row[1:]].sum())
    return {
        "num_tokens": [len(row) - 1 for row in rows],
        "log_likelihood": np.array(likelihoods),
    }


def _in_pieces(
    step: Callable[[tf.Tensor], tf.Tensor],
    token_ids: tf.Tensor,
    vocabulary_size: int,
    kernels: Kernels | None,
) -> tf.Tensor:
    """Returns each token's log-probability, (B, T), 0 for the first.

    A piece of the texts after the other, so that not all logits are in memory
    at once.
    """
    batch, width = tf.unstack(tf.shape(token_ids))
    piece = PIECE_SIZE // (batch * vocabulary_size)
    piece = tf.clip_by_value(piece, 1, LONGEST_PIECE)
    num_more = (width - 1) // piece
    first = width - num_more * piece
    following = tf.pad(token_ids[:, 1:], [[0, 0], [0, 1]])

    def read(
        start: tf.Tensor, size: tf.Tensor, state: dict | None
    ) -> tuple[tf.Tensor, dict]:
        scope = DecodingScope(width, state=state, kernels=kernels)
        with scope:
            logits = step(token_ids[:, start : start + size])
        found = tf.nn.log_softmax(tf.cast(logits, tf.float32))
        next_ids = following[:, start : start + size]
        return tf.gather(found, next_ids, batch_dims=2), scope.state

    def body(index: tf.Tensor, found: tf.Tensor, state: dict) -> tuple:
        more, state = read(first + index * piece, piece, state)
        return index + 1, tf.concat([found, more], axis=1), state

    found, state = read(tf.constant(0), first, None)
    _, found, _ = tf.while_loop(
        lambda index, *unused: index < num_more,
        body,
        (tf.constant(0), found, state),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None, None]),
            tf.nest.map_structure(lambda x: x.shape, state),
        ),
    )
    return tf.pad(found[:, :-1], [[0, 0], [1, 0]])
