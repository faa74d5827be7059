"""Find special tokens in text inside a TensorFlow graph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bigmodel.text.lookup import StringTable

if TYPE_CHECKING:
    import tensorflow as tf

# What Unicode calls white space: RE2's \s knows ASCII's alone.
_BLANKS = (
    r"[\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}"
    r"\x{205f}\x{3000}]*"
)
# These bytes occur in no UTF-8 text, so nothing in the input can be taken
# for a mark.
_CUT = b"\xff"
_FOUND = b"\xfe"


class AddedTokens:
    """The tokens which are cut out of the text before anything else.

    Of the tokens that begin at one place the longest is found, as the
    `tokenizers` library does. Tokens marked "normalized" are looked for
    after the text was normalized.

    Args:
        tokens: the `added_tokens` of a tokenizer.json.
        normalize: gives the normalized form of a token's content.

    Raises:
        ValueError: a token asks for `single_word`.
    """

    def __init__(self, tokens: Sequence[dict[str, Any]], normalize: Any = str):
        for token in tokens:
            if token.get("single_word"):
                raise ValueError(
                    "Added tokens that match single words alone are not "
                    f"supported. Received: added_tokens={token!r:.200}"
                )
        raw = [token for token in tokens if not token.get("normalized")]
        normalized = [
            {**token, "content": normalize(token["content"])}
            for token in tokens
            if token.get("normalized")
        ]
        self.passes = [_Pass(raw), _Pass(normalized)]

    def split(
        self, segments: tf.RaggedTensor, ids: tf.Tensor, normalized: bool
    ) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """Return smaller segments, and the id of each, -1 for text.

        Args:
            segments: strings (batch, segments), valid UTF-8.
            ids: int32 ids, one for each segment, -1 for text.
            normalized: which tokens to look for.
        """
        search = self.passes[normalized]
        return search(segments, ids) if search.pattern else (segments, ids)


class _Pass:
    def __init__(self, tokens: Sequence[dict[str, Any]]):
        tokens = sorted(tokens, key=lambda token: -len(token["content"]))
        self.pattern = "|".join(
            (_BLANKS if token.get("lstrip") else "")
            + f"({_escape(token['content'])})"
            + (_BLANKS if token.get("rstrip") else "")
            for token in tokens
            if token.get("lstrip") or token.get("rstrip")
        )
        plain = "|".join(
            _escape(token["content"])
            for token in tokens
            if not (token.get("lstrip") or token.get("rstrip"))
        )
        if plain:
            self.pattern += ("|" if self.pattern else "") + f"({plain})"
        num_groups = re.compile(
            re.sub(r"\\x\{(\w+)\}", r"\\U00000000", self.pattern)
        ).groups
        groups = b"".join(b"\\%d" % (i + 1) for i in range(num_groups))
        self.rewrite = _CUT + _FOUND + groups + _CUT
        self.table = StringTable(
            [_FOUND + token["content"].encode() for token in tokens],
            np.array([token["id"] for token in tokens], np.int32),
        )

    def __call__(
        self, segments: tf.RaggedTensor, ids: tf.Tensor
    ) -> tuple[tf.RaggedTensor, tf.Tensor]:
        import tensorflow as tf

        strings = segments.flat_values
        marked = tf.strings.regex_replace(strings, self.pattern, self.rewrite)
        parts = tf.strings.split(tf.where(ids < 0, marked, strings), _CUT)
        old_ids = tf.gather(ids, parts.value_rowids())
        new_ids = tf.where(old_ids < 0, self.table(parts.flat_values), old_ids)
        segments = segments.with_flat_values(parts).merge_dims(1, 2)
        return segments, new_ids


def _escape(content: str) -> str:
    """Return a pattern, for RE2, of the content alone."""
    return "".join(
        character if character.isalnum() else f"\\x{{{ord(character):x}}}"
        for character in content
    )
