"""Text that comes into a served model, and text that it answers."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_bigmodel.export.guards import Limits, after, check_texts, require


class TextDoor:
    """Turns texts into rows of ids, and ids into texts, inside the graph.

    Every signature that reads text goes through the same two functions, so
    that a SavedModel holds the tokenizer's constants once.

    Args:
        tokenizer: One of `kbm.text`.
        limits: Of the texts.
    """

    def __init__(self, tokenizer: Any, limits: Limits) -> None:
        self.start_id = tokenizer.start_id
        self._limits = limits
        self._frame = tokenizer.prefix_ids, tokenizer.suffix_ids
        self._encode = tf.function(
            lambda texts: tokenizer(texts, add_special_tokens=False),
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )
        self._detokenize = tf.function(
            tokenizer.detokenize,
            input_signature=[tf.RaggedTensorSpec([None, None], tf.int32)],
            autograph=False,
        )

    def read(
        self, texts: tf.Tensor, name: str = "prompts"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the ids of texts, int32 (B, T), and each row's number.

        An empty text becomes the start id.

        Args:
            texts: Strings, (B,).
            name: The input's name, for messages.
        """
        token_ids, lengths = self.read_between(texts, name, *self._frame)
        if self.start_id is None:
            some = require(
                tf.reduce_min(lengths) > 0,
                f"A text in `{name}` is empty, and the tokenizer has no start "
                "token to begin from",
            )
            return tuple(after([some], token_ids, lengths))
        width = tf.maximum(tf.shape(token_ids)[1], 1)
        padding = [[0, 0], [0, width - tf.shape(token_ids)[1]]]
        token_ids = tf.pad(token_ids, padding)
        is_empty = tf.logical_and(
            lengths[:, None] == 0, tf.range(width)[None] == 0
        )
        token_ids = tf.where(is_empty, self.start_id, token_ids)
        return token_ids, tf.maximum(lengths, 1)

    def read_between(
        self,
        texts: tf.Tensor,
        name: str,
        before: Sequence[int],
        behind: Sequence[int],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the ids of texts between others, int32 (B, T), and lengths.

        Args:
            texts: Strings, (B,).
            name: The input's name, for messages.
            before: Ids that each row begins with.
            behind: Ids that each row ends with.
        """
        rows = self._encode(check_texts(texts, self._limits, name))
        count = rows.nrows()
        sides = [
            tf.tile(tf.constant([side], tf.int32), [count, 1])
            for side in (before, behind)
        ]
        rows = tf.concat([sides[0], rows, sides[1]], axis=1)
        return rows.to_tensor(), tf.cast(rows.row_lengths(), tf.int32)

    def answer(self, made: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns what was made with texts in place of ids.

        Args:
            made: What `Decoder.complete` returned.
        """
        made = dict(made)
        token_ids = made.pop("token_ids")
        return {**self.write(token_ids, made["num_tokens"]), **made}

    def write(
        self, token_ids: tf.Tensor, counts: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns the texts of the first `counts` ids of each row.

        Args:
            token_ids: int32, (B, N).
            counts: int32, (B,).

        Returns:
            `text_bytes`, as the tokens say, and `text`, where bytes that are
            no UTF-8, such as half a character at the end, read U+FFFD: JSON
            must not hold others.
        """
        raw = self._detokenize(tf.RaggedTensor.from_tensor(token_ids, counts))
        text = tf.strings.unicode_transcode(raw, "UTF-8", "UTF-8")
        return {"text": text, "text_bytes": raw}
