"""Signature of an encoder: text in, a vector out."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.signatures.batching import WholeTexts
from keras_bigmodel.export.signatures.signature import Signature
from keras_bigmodel.export.signatures.text import TextDoor
from keras_bigmodel.export.signatures.text_classifier import TEXTS


class Encoder:
    """What a served encoder offers: the mean of the tokens' hidden states.

    Args:
        model: From token ids to hidden states, (batch, sequence, features).
        tokenizer: One of `kbm.text`.
        limits: Sizes that are answered.
        examples: Texts to prove and to warm up with.
    """

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Any,
        limits: Limits,
        examples: list[str],
    ) -> None:
        self._tokenizer = tokenizer
        self._door = TextDoor(tokenizer, limits)
        self._run = WholeTexts(model, tokenizer, limits)
        self._examples = examples

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures by name."""
        examples = [{"texts": self._examples}]
        embed = Signature(self._embed, TEXTS, lambda: examples, self._expect)
        return {"serving_default": embed, "embed": embed}

    def _embed(self, texts: tf.Tensor) -> dict[str, tf.Tensor]:
        token_ids, lengths = self._door.read(texts, "texts")
        hidden = tf.cast(self._run(token_ids, lengths), tf.float32)
        column = tf.range(tf.shape(token_ids)[1])[None]
        is_token = (column < lengths[:, None])[..., None]
        total = tf.reduce_sum(tf.where(is_token, hidden, 0.0), axis=1)
        return {"embedding": total / tf.cast(lengths, tf.float32)[:, None]}

    def _expect(self, example: dict[str, Any]) -> dict[str, Any]:
        rows = self._tokenizer.encode(example["texts"])
        rows = [row or [self._door.start_id] for row in rows]
        means = [
            np.asarray(self._run.in_memory(row), "float32").mean(axis=0)
            for row in rows
        ]
        return {"embedding": np.stack(means)}
