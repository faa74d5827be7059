"""Signature `score`: how probable a model finds texts."""

from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from keras_bigmodel.export.signatures.room import check_room
from keras_bigmodel.export.signatures.signature import Signature
from keras_bigmodel.layers.decoding import DecodingScope

# Logits of one piece of the texts, in numbers: 256 MB of float32.
PIECE_SIZE = 2**26
LONGEST_PIECE = 512


def signatures(served: Any) -> dict[str, Signature]:
    """Returns the signature.

    Args:
        served: The `LanguageModel`.
    """
    score = Score(served)
    return {
        "score": Signature(
            score.call,
            {"texts": tf.TensorSpec([None], tf.string)},
            lambda: [{"texts": [t for t in served.examples if t] or ["a"]}],
            score.expect,
        )
    }


class Score:
    """Log-probabilities of each token of a text after those before it.

    The first token has nothing before it and is not scored.

    Args:
        served: The `LanguageModel`.
    """

    def __init__(self, served: Any) -> None:
        self._served = served

    def call(self, texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the scores of texts, (B,).

        Args:
            texts: Strings, (B,).

        Returns:
            `token_ids` and `token_log_probabilities`, (B, T), zeros behind
            each text; `num_tokens`, those that were scored; their
            `log_likelihood`, natural logarithm; and `perplexity`, 1 where
            nothing was scored.
        """
        token_ids, lengths = self._served.door.read(texts, "texts")
        token_ids, lengths = check_room(
            token_ids,
            lengths,
            tf.zeros_like(lengths),
            self._served.limits,
            self._served.context,
        )
        scores = self._in_pieces(token_ids)
        column = tf.range(tf.shape(token_ids)[1])[None]
        is_scored = (column > 0) & (column < lengths[:, None])
        scores = tf.where(is_scored, scores, 0.0)
        likelihood = tf.reduce_sum(scores, axis=1)
        count = tf.cast(tf.maximum(lengths - 1, 1), tf.float32)
        return {
            "token_ids": token_ids,
            "token_log_probabilities": scores,
            "num_tokens": lengths - 1,
            "log_likelihood": likelihood,
            "perplexity": tf.exp(-likelihood / count),
        }

    def expect(self, example: dict[str, Any]) -> dict[str, Any]:
        """Returns an example's scores by whole passes, a text at a time."""
        rows = self._served.tokenizer.encode(example["texts"])
        likelihoods = []
        for row in rows:
            logits = self._served.model(np.array([row], "int32"))
            scores = ops.log_softmax(ops.cast(logits[0], "float32"), axis=-1)
            scores = ops.convert_to_numpy(scores)
            likelihoods.append(scores[np.arange(len(row) - 1), row[1:]].sum())
        return {
            "num_tokens": [len(row) - 1 for row in rows],
            "log_likelihood": np.array(likelihoods),
        }

    def _in_pieces(self, token_ids: tf.Tensor) -> tf.Tensor:
        """Returns each token's log-probability, (B, T), 0 for the first.

        A piece of the texts after the other, so that not all logits are in
        memory at once.
        """
        batch, width = tf.unstack(tf.shape(token_ids))
        piece = PIECE_SIZE // (batch * self._served.vocabulary_size)
        piece = tf.clip_by_value(piece, 1, LONGEST_PIECE)
        num_more = (width - 1) // piece
        first = width - num_more * piece
        following = tf.pad(token_ids[:, 1:], [[0, 0], [0, 1]])

        def read(
            start: tf.Tensor, size: tf.Tensor, state: dict | None
        ) -> tuple[tf.Tensor, dict]:
            scope = DecodingScope(width, state=state)
            with scope:
                logits = self._served.model(token_ids[:, start : start + size])
            scores = tf.nn.log_softmax(tf.cast(logits, tf.float32))
            next_ids = following[:, start : start + size]
            return tf.gather(scores, next_ids, batch_dims=2), scope.state

        def body(index: tf.Tensor, scores: tf.Tensor, state: dict) -> tuple:
            more, state = read(first + index * piece, piece, state)
            return index + 1, tf.concat([scores, more], axis=1), state

        scores, state = read(tf.constant(0), first, None)
        _, scores, _ = tf.while_loop(
            lambda index, *unused: index < num_more,
            body,
            (tf.constant(0), scores, state),
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([None, None]),
                tf.nest.map_structure(lambda x: x.shape, state),
            ),
        )
        return tf.pad(scores[:, :-1], [[0, 0], [1, 0]])
