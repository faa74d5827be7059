"""Signature of a text classifier: text in, labels and probabilities out."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.signatures.batching import WholeTexts
from keras_bigmodel.export.signatures.classes import Classes
from keras_bigmodel.export.signatures.signature import Signature
from keras_bigmodel.export.signatures.text import TextDoor

TEXTS = {"texts": tf.TensorSpec([None], tf.string)}


class TextClassifier:
    """What a served text classifier offers.

    Args:
        model: From token ids to logits, (batch, classes).
        tokenizer: One of `kbm.text`.
        labels: Names of the classes; None: their numbers.
        limits: Sizes that are answered.
        top_k: How many classes an answer holds.
        examples: Texts to prove and to warm up with.
    """

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Any,
        labels: Sequence[str] | None,
        limits: Limits,
        top_k: int,
        examples: list[str],
    ) -> None:
        self._tokenizer = tokenizer
        self._door = TextDoor(tokenizer, limits)
        self._run = WholeTexts(model, tokenizer, limits)
        self._classes = Classes(labels, int(model.output_shape[-1]))
        self._top_k = top_k
        self._examples = examples

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures by name."""
        examples = [{"texts": self._examples}]
        default = Signature(self._serve, TEXTS, lambda: examples, self._expect)
        return {"serving_default": default}

    def _serve(self, texts: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = self._run(*self._door.read(texts, "texts"))
        return self._classes.ranked(logits, self._top_k)

    def _expect(self, example: dict[str, Any]) -> dict[str, Any]:
        rows = self._tokenizer.encode(example["texts"])
        rows = [row or [self._door.start_id] for row in rows]
        logits = np.stack([self._run.in_memory(row) for row in rows])
        return self._classes.expect(logits, self._top_k)
