"""Byte-pair encoding whose first symbols are bytes, as GPT-2 has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bigmodel.text.byte import raw_bytes
from keras_bigmodel.text.lookup import GraphArray
from keras_bigmodel.text.splitting import GPT2, PATTERNS, split_words
from keras_bigmodel.text.tokenizer_json import components, unsupported

if TYPE_CHECKING:
    import tensorflow as tf


def byte_characters() -> list[str]:
    """Return the visible character that stands for each byte in the files."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return [
        chr(byte if byte in visible else 256 + hidden.index(byte))
        for byte in range(256)
    ]


class ByteLevel:
    """How a byte-level tokenizer cuts text, and spells and joins tokens.

    Args:
        spec: the content of a tokenizer.json.

    Raises:
        ValueError: a component is not supported, or a byte that occurs in
            UTF-8 has no token.
    """

    drops_first_blank = False

    def __init__(self, spec: dict[str, Any]):
        steps = components(
            spec["pre_tokenizer"], "pre_tokenizer", "pretokenizers"
        )
        self.pattern = None
        self.adds_blank = False
        for place, step in enumerate(steps):
            if step["type"] == "ByteLevel" and place == len(steps) - 1:
                self.adds_blank = step.get("add_prefix_space", True)
                if step.get("use_regex", True) and self.pattern is None:
                    self.pattern = GPT2
                elif step.get("use_regex", True):
                    raise unsupported("pre_tokenizer", spec["pre_tokenizer"])
            elif self.pattern is None and _is_known_split(step):
                self.pattern = step["pattern"]["Regex"]
            else:
                raise unsupported("pre_tokenizer", step)
        if self.adds_blank and len(steps) > 1:
            # The blank would be put before every word of the pattern.
            raise unsupported("pre_tokenizer", spec["pre_tokenizer"])
        decoders = components(spec["decoder"], "decoder", "decoders")
        if [step["type"] for step in decoders] != ["ByteLevel"]:
            raise unsupported("decoder", spec["decoder"])
        vocabulary = spec["model"]["vocab"]
        first_ids = [vocabulary.get(c, -1) for c in byte_characters()]
        for byte, token_id in enumerate(first_ids):
            if token_id < 0 and _in_utf8(byte):
                raise ValueError(
                    "A byte-level vocabulary needs a token for every byte. "
                    f"Received: byte {byte:#x} without a token"
                )
        self._first_ids = GraphArray(np.array(first_ids, np.int32))

    def words(self, texts: tf.Tensor, is_first: tf.Tensor) -> tf.RaggedTensor:
        """Return the words (segments, words) of text."""
        import tensorflow as tf

        if self.adds_blank:
            begins = tf.strings.substr(texts, 0, 1)
            bare = (begins != " ") & (begins != "")
            texts = tf.where(bare, tf.strings.join([" ", texts]), texts)
        if self.pattern is None:
            filled = tf.cast(tf.strings.length(texts) > 0, tf.int64)
            return tf.RaggedTensor.from_row_lengths(
                tf.boolean_mask(texts, filled > 0), filled, validate=False
            )
        return split_words(texts, PATTERNS[self.pattern])

    def symbols(self, words: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the first ids of all words, and how many each word has."""
        import tensorflow as tf

        ids = tf.gather(self._first_ids.tensor(), raw_bytes(words))
        return ids, tf.cast(tf.strings.length(words), tf.int64)

    def content(self, token: str, first: bool = False) -> bytes:
        """Return the bytes a token stands for."""
        codes = _BYTES_OF
        if all(character in codes for character in token):
            return bytes(codes[character] for character in token)
        # An added token, written as itself.
        return token.encode()

    def join(self, tokens: tf.RaggedTensor) -> tf.Tensor:
        """Return the text of rows of contents."""
        import tensorflow as tf

        return tf.strings.reduce_join(tokens, axis=-1)


_BYTES_OF = {
    character: byte for byte, character in enumerate(byte_characters())
}


def _in_utf8(byte: int) -> bool:
    return byte not in (0xC0, 0xC1) and byte < 0xF5


def _is_known_split(step: dict[str, Any]) -> bool:
    pattern = step.get("pattern")
    return (
        step["type"] == "Split"
        and isinstance(pattern, dict)
        and pattern.get("Regex") in PATTERNS
        and step.get("behavior") == "Isolated"
        and not step.get("invert")
    )
