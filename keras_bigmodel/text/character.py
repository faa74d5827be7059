"""Tokens that are characters."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import tokenizers
from tokenizers import decoders, models

from keras_bigmodel.text.base import checked_texts
from keras_bigmodel.text.library import LibraryTokenizer
from keras_bigmodel.text.lookup import GraphArray, IntegerTable
from keras_bigmodel.text.tokenizer_json import unsupported

if TYPE_CHECKING:
    import tensorflow as tf

SPECIAL_TOKENS = ("<|pad|>", "<|unk|>", "<|start|>", "<|end|>")


class CharacterTokenizer(LibraryTokenizer):
    """Each Unicode character (code point) is a token.

    A small vocabulary without any segmentation, which suits Chinese, where
    characters carry meaning and words have no blanks between them. Ids 0 to
    3 pad, stand for unknown characters, start and end a text; the characters
    follow, the most frequent first.

    Args:
        library: a tokenizer of the `tokenizers` library with a BPE model
            that has characters and no merges.
        roles: the tokens that pad, start and end, by "pad_token",
            "bos_token" and "eos_token".
        chat_template: Jinja template for `apply_chat_template`.

    Raises:
        ValueError: the library's tokenizer is of another form.

    Example:
    ```python
    import keras_bigmodel as kbm

    tokenizer = kbm.text.CharacterTokenizer.train(["学而时习之"])
    tokenizer.encode(["时"])
    tokenizer.decode(tokenizer.encode(["学习"]))  # ["学习"]
    ```
    """

    @classmethod
    def train(
        cls, texts: Iterable[str | bytes], vocabulary_size: int | None = None
    ) -> CharacterTokenizer:
        """Return a tokenizer that knows the texts' most frequent characters.

        Args:
            texts: what to learn from.
            vocabulary_size: the most ids, four special tokens included; None
                for all characters of the texts.

        Raises:
            ValueError: there is no text, or the vocabulary is too small.
        """
        if vocabulary_size is not None and vocabulary_size <= 4:
            raise ValueError(
                "Four special tokens and a character need a larger "
                f"vocabulary. Received: {vocabulary_size=}"
            )
        counts: collections.Counter[str] = collections.Counter()
        for text in checked_texts(texts):
            counts.update(text)
        characters = sorted(counts, key=lambda c: (-counts[c], c))
        if vocabulary_size is not None:
            characters = characters[: vocabulary_size - len(SPECIAL_TOKENS)]
        tokens = [*SPECIAL_TOKENS, *characters]
        library = tokenizers.Tokenizer(
            models.BPE(
                vocab={token: i for i, token in enumerate(tokens)},
                merges=[],
                unk_token="<|unk|>",
            )
        )
        library.decoder = decoders.Fuse()
        library.add_special_tokens(list(SPECIAL_TOKENS))
        roles = {
            "pad_token": "<|pad|>",
            "bos_token": "<|start|>",
            "eos_token": "<|end|>",
        }
        return cls(library, roles)

    def _check(self) -> None:
        model = self.spec["model"]
        expected = {
            "normalizer": None,
            "pre_tokenizer": None,
            "decoder": {"type": "Fuse"},
        }
        for part, component in expected.items():
            if self.spec[part] != component:
                raise unsupported(part, self.spec[part])
        for option in ("fuse_unk", "byte_fallback", "merges", "dropout"):
            if model.get(option):
                raise unsupported(option, model[option])
        vocabulary = model["vocab"]
        unknown_id = vocabulary.get(model.get("unk_token"))
        if unknown_id is None:
            raise unsupported("unk_token", model.get("unk_token"))
        known = {t: i for t, i in vocabulary.items() if len(t) == 1}
        self._ids = IntegerTable(
            np.array([ord(token) for token in known], np.int64),
            np.array(list(known.values()), np.int32),
            default=unknown_id,
        )
        self._contents = GraphArray([token.encode() for token in self.tokens()])

    def _ids_of_texts(
        self, texts: tf.Tensor, is_first: tf.Tensor
    ) -> tf.RaggedTensor:
        import tensorflow as tf

        characters = tf.strings.unicode_decode(texts, "UTF-8")
        codes = tf.cast(characters.flat_values, tf.int64)
        return characters.with_flat_values(self._ids(codes))

    def _decode_in_graph(self, token_ids: tf.RaggedTensor) -> tf.Tensor:
        import tensorflow as tf

        contents = tf.gather(self._contents.tensor(), token_ids.flat_values)
        return tf.strings.reduce_join(
            token_ids.with_flat_values(contents), axis=-1
        )
