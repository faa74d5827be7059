"""Signature of a tagger: text in, a label for each token and its place out."""

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
from keras_bigmodel.export.signatures.text_classifier import TEXTS

_PROBE = "Aé 你\n x1, Ü"


class TokenClassifier:
    """What a served tagger offers.

    Where the tokens' texts put together are the text itself, as they are for
    tokens of bytes or characters, answers hold the place of each token too.

    Args:
        model: From token ids to logits, (batch, sequence, classes).
        tokenizer: One of `kbm.text`.
        labels: Names of the classes; None: their numbers.
        limits: Sizes that are answered.
        examples: Texts to prove and to warm up with.
    """

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Any,
        labels: Sequence[str] | None,
        limits: Limits,
        examples: list[str],
    ) -> None:
        self._tokenizer = tokenizer
        self._door = TextDoor(tokenizer, limits)
        self._run = WholeTexts(model, tokenizer, limits)
        self._classes = Classes(labels, int(model.output_shape[-1]))
        self._examples = examples
        ids = tokenizer([_PROBE]).flat_values[:, None]
        pieces = tokenizer.detokenize(ids).numpy()
        self._has_places = b"".join(pieces) == _PROBE.encode()

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures by name."""
        examples = [{"texts": self._examples}]
        default = Signature(self._serve, TEXTS, lambda: examples, self._expect)
        return {"serving_default": default}

    def _serve(self, texts: tf.Tensor) -> dict[str, tf.Tensor]:
        token_ids, lengths = self._door.read(texts, "texts")
        names, probabilities = self._classes.best(self._run(token_ids, lengths))
        column = tf.range(tf.shape(token_ids)[1])[None]
        is_token = column < lengths[:, None]
        answer = {
            "token_ids": tf.where(is_token, token_ids, 0),
            "num_tokens": lengths,
            "labels": tf.where(is_token, names, ""),
            "probabilities": tf.where(is_token, probabilities, 0.0),
        }
        if self._has_places:
            answer |= self._places(texts, token_ids, lengths)
        return answer

    def _places(
        self, texts: tf.Tensor, token_ids: tf.Tensor, lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns where tokens start and end, in characters of their text."""
        flat = tf.RaggedTensor.from_tensor(token_ids, lengths).flat_values
        ones = tf.ones_like(flat)
        pieces = self._door.write(flat[:, None], ones)["text_bytes"]
        sizes = tf.RaggedTensor.from_row_lengths(
            tf.strings.length(pieces), tf.cast(lengths, tf.int64)
        ).to_tensor()
        ends = tf.cumsum(sizes, axis=1)
        # A byte that begins a character is none of 10xxxxxx.
        characters = tf.map_fn(
            _characters_before,
            (texts, ends),
            fn_output_signature=tf.TensorSpec([None], tf.int32),
        )
        starts = tf.map_fn(
            _characters_before,
            (texts, ends - sizes),
            fn_output_signature=tf.TensorSpec([None], tf.int32),
        )
        is_token = sizes > 0
        return {
            "starts": tf.where(is_token, starts, 0),
            "ends": tf.where(is_token, characters, 0),
        }

    def _expect(self, example: dict[str, Any]) -> dict[str, Any]:
        rows = self._tokenizer.encode(example["texts"])
        start = self._door.start_id
        rows = [row or [start] for row in rows]
        width = max(map(len, rows))
        labels = np.full((len(rows), width), b"", object)
        for line, row in zip(labels, rows, strict=True):
            best = np.argmax(self._run.in_memory(row), axis=-1)
            line[: len(row)] = [
                self._classes.labels[index].encode() for index in best
            ]
        return {"labels": labels, "num_tokens": [len(row) for row in rows]}


def _characters_before(row: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Returns how many characters begin before each byte of a text."""
    text, places = row
    data = tf.io.decode_raw(text, tf.uint8)
    begins = tf.cast(tf.bitwise.bitwise_and(data, 0xC0) != 0x80, tf.int32)
    before = tf.concat([[0], tf.cumsum(begins)], axis=0)
    # Special tokens stand for no text.
    return tf.gather(before, tf.minimum(places, tf.size(data)))
