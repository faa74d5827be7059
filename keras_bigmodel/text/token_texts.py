"""The text each token adds, where that hangs on its place alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_bigmodel.text.lookup import GraphArray

if TYPE_CHECKING:
    import tensorflow as tf


class TokenTexts:
    """What a token gives as the first of a row, and what behind others.

    Args:
        tokens: The tokens, by id.
        decoder: A decoder of the `tokenizers` library that treats tokens one
            by one, or None, which joins them by blanks.
    """

    def __init__(self, tokens: list[str], decoder: Any):
        decode = " ".join if decoder is None else decoder.decode
        self._first = GraphArray([decode([t]).encode() for t in tokens])
        self._others = GraphArray(
            [decode(["0", t])[1:].encode() for t in tokens]
        )

    def __call__(self, token_ids: tf.RaggedTensor) -> tf.Tensor:
        """Returns the string of each row of ids."""
        import tensorflow as tf

        flat = token_ids.flat_values
        starts = tf.gather(token_ids.row_starts(), token_ids.value_rowids())
        texts = tf.where(
            tf.range(tf.size(flat, tf.int64)) == starts,
            tf.gather(self._first.tensor(), flat),
            tf.gather(self._others.tensor(), flat),
        )
        return tf.strings.reduce_join(
            token_ids.with_flat_values(texts), axis=-1
        )
