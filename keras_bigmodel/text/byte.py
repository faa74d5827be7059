"""Tokens that are bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_bigmodel.text.base import Tokenizer
from keras_bigmodel.text.files import TokenizerFolder

if TYPE_CHECKING:
    import tensorflow as tf

SPECIAL_TOKENS = {"<pad>": 256, "<start>": 257, "<end>": 258}


class ByteTokenizer(Tokenizer):
    """Each byte of the UTF-8 text is a token.

    Ids 0 to 255 are the bytes themselves, 256 pads, 257 starts and 258 ends
    a text. Nothing is trained, nothing is unknown, and every sequence of
    bytes, valid UTF-8 or not, comes back as it was.

    Example:
    ```python
    import keras_bigmodel as kbm

    tokenizer = kbm.text.ByteTokenizer()
    tokenizer.encode(["Hi!"])  # [[72, 105, 33]]
    tokenizer.decode([[72, 105, 33]])  # ["Hi!"]
    ```
    """

    def __init__(self):
        super().__init__(SPECIAL_TOKENS, pad_id=256, start_id=257, end_id=258)

    @property
    def vocabulary_size(self) -> int:
        """256 bytes and three special tokens."""
        return 259

    def _encode(self, texts: list[str | bytes]) -> list[list[int]]:
        return [
            list(
                text.encode("utf-8", "surrogatepass")
                if isinstance(text, str)
                else text
            )
            for text in texts
        ]

    def _decode(self, rows: list[list[int]]) -> list[str]:
        names = {i: name.encode() for name, i in SPECIAL_TOKENS.items()}
        return [
            b"".join(names.get(i) or bytes([i]) for i in row).decode(
                "utf-8", "replace"
            )
            for row in rows
        ]

    def _encode_in_graph(self, texts: tf.Tensor) -> tf.RaggedTensor:
        import tensorflow as tf

        lengths = tf.cast(tf.strings.length(texts), tf.int64)
        return tf.RaggedTensor.from_row_lengths(raw_bytes(texts), lengths)

    def _decode_in_graph(self, token_ids: tf.RaggedTensor) -> tf.Tensor:
        import tensorflow as tf

        tokens = [bytes([i]) for i in range(256)]
        tokens += [token.encode() for token in SPECIAL_TOKENS]
        return tf.strings.reduce_join(tf.gather(tokens, token_ids), axis=-1)

    @classmethod
    def _read(
        cls, folder: TokenizerFolder, config: dict[str, Any]
    ) -> ByteTokenizer:
        return cls()

    def _write(self) -> dict[str, str | bytes]:
        return {}


def raw_bytes(texts: tf.Tensor) -> tf.Tensor:
    """Return the bytes of all texts, one after another, as int32."""
    import tensorflow as tf

    joined = tf.strings.reduce_join(texts)
    # decode_raw of an empty string has no bytes, as wished.
    return tf.cast(tf.io.decode_raw(joined, tf.uint8), tf.int32)
