"""Normalize and cut text as unigram models want it, inside a graph."""

from __future__ import annotations

import base64
import binascii
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import pre_tokenizers

from keras_bigmodel.text.character_map import (
    NUM_CODES,
    CharacterMap,
    PagedTable,
    each_normalized,
    known_codes,
)
from keras_bigmodel.text.normalizing import Step, normalizer_steps, replace
from keras_bigmodel.text.precompiled import Precompiled
from keras_bigmodel.text.splitting import cut
from keras_bigmodel.text.tokenizer_json import components, unsupported

if TYPE_CHECKING:
    import tensorflow as tf

SCHEMES = ("always", "first", "never")
# What White_Space is in Unicode, for patterns.
_BLANK = (
    r"[\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}"
    r"\x{205f}\x{3000}]"
)


def unigram_normalizers(spec: dict[str, Any]) -> list[Step]:
    """Returns the graph's form of the normalizer's steps.

    Known are Precompiled, Lowercase, Strip, Replace of a string or of two and
    more blanks, and what `normalizer_steps` knows.

    Raises:
        ValueError: where a step is not supported.
    """
    steps: list[Step] = []
    for step in components(spec["normalizer"], "normalizer", "normalizers"):
        kind = step["type"]
        if kind == "Precompiled":
            steps.append(Precompiled(_charsmap_of(step)))
        elif kind == "Lowercase":
            steps.append(_lowercase)
        elif kind == "Strip":
            steps.append(
                functools.partial(
                    _strip, left=step["strip_left"], right=step["strip_right"]
                )
            )
        elif step.get("pattern") == {"Regex": " {2,}"}:
            steps.append(
                functools.partial(_join_blanks, content=step["content"])
            )
        else:
            steps.extend(normalizer_steps(step))
    return steps


def charsmap_of(spec: dict[str, Any]) -> bytes:
    """Returns the precompiled map of a tokenizer.json, empty without one."""
    for step in components(spec["normalizer"], "normalizer", "normalizers"):
        if step["type"] == "Precompiled":
            return _charsmap_of(step)
    return b""


def _charsmap_of(step: dict[str, Any]) -> bytes:
    content = step.get("precompiled_charsmap")
    try:
        return base64.b64decode(content, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise unsupported("normalizer", step) from None


def _lowercase(texts: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    characters = tf.strings.unicode_decode(texts, "UTF-8")
    return tf.strings.unicode_encode(_lower_map()(characters), "UTF-8")


@functools.cache
def _lower_map() -> CharacterMap:
    from tokenizers import normalizers

    return CharacterMap(each_normalized(normalizers.Lowercase().normalize_str))


def _strip(texts: tf.Tensor, left: bool, right: bool) -> tf.Tensor:
    import tensorflow as tf

    for wanted, pattern in ((left, rf"\A{_BLANK}+"), (right, rf"{_BLANK}+\z")):
        if wanted:
            texts = tf.strings.regex_replace(texts, pattern, "")
    return texts


def _join_blanks(texts: tf.Tensor, content: str) -> tf.Tensor:
    import tensorflow as tf

    return tf.strings.regex_replace(
        texts, " {2,}", content.replace("\\", "\\\\")
    )


class UnigramWords:
    """Marks where words begin, and cuts text there.

    Args:
        spec: The content of a tokenizer.json, whose pre-tokenizer is a
            Metaspace, with or without a WhitespaceSplit before it.

    Raises:
        ValueError: where it is another.
    """

    def __init__(self, spec: dict[str, Any]):
        part = spec["pre_tokenizer"]
        steps = components(part, "pre_tokenizer", "pretokenizers")
        kinds = [step["type"] for step in steps]
        self._cuts_blanks = kinds[:1] == ["WhitespaceSplit"]
        if kinds[self._cuts_blanks :] != ["Metaspace"]:
            raise unsupported("pre_tokenizer", part)
        options = steps[-1]
        self._mark = options.get("replacement")
        self._scheme = options.get("prepend_scheme", "always")
        self._splits = options.get("split", True)
        if (
            not isinstance(self._mark, str)
            or len(self._mark) != 1
            or self._scheme not in SCHEMES
            or (self._cuts_blanks and self._scheme == "first")
        ):
            raise unsupported("pre_tokenizer", part)

    def __call__(
        self, texts: tf.Tensor, is_first: tf.Tensor
    ) -> tf.RaggedTensor:
        """Returns the words (segments, words) as strings.

        Args:
            texts: Strings (segments,).
            is_first: Whether a segment begins its text.
        """
        import tensorflow as tf

        if self._cuts_blanks:
            words = _between_blanks(texts)
            marked = self._marked(words.flat_values, False)
            words = words.with_flat_values(marked)
            if not self._splits:
                return words
            inner = self._split(marked)
            return words.with_flat_values(inner).merge_dims(1, 2)
        texts = self._marked(texts, is_first)
        if self._splits:
            return self._split(texts)
        filled = texts != ""
        return tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(texts, filled),
            tf.cast(filled, tf.int64),
            validate=False,
        )

    def _marked(self, texts: tf.Tensor, is_first: Any) -> tf.Tensor:
        """Returns the texts with marks for blanks, and before them."""
        import tensorflow as tf

        texts = replace(texts, " ", self._mark)
        if self._scheme == "never":
            return texts
        size = len(self._mark.encode())
        bare = (texts != "") & (tf.strings.substr(texts, 0, size) != self._mark)
        if self._scheme == "first":
            bare &= is_first
        return tf.where(bare, tf.strings.join([self._mark, texts]), texts)

    def _split(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns the texts cut before each mark."""
        import tensorflow as tf

        characters = tf.strings.unicode_decode(texts, "UTF-8")
        return cut(characters, characters.flat_values == ord(self._mark))


def _between_blanks(texts: tf.Tensor) -> tf.RaggedTensor:
    """Returns what stands between the blanks of each text."""
    import tensorflow as tf

    characters = tf.strings.unicode_decode(texts, "UTF-8")
    blank = tf.cast(_blanks()(characters.flat_values), tf.bool)
    rows = characters.value_rowids()
    after = tf.concat([tf.ones_like(blank[:1]), blank[:-1]], 0)
    changes = tf.concat([tf.ones_like(blank[:1]), rows[1:] != rows[:-1]], 0)
    starts = tf.boolean_mask(after | changes, ~blank)
    words = tf.RaggedTensor.from_row_starts(
        tf.boolean_mask(characters.flat_values, ~blank),
        tf.where(starts)[:, 0],
        validate=False,
    )
    return tf.RaggedTensor.from_value_rowids(
        tf.strings.unicode_encode(words, "UTF-8"),
        tf.boolean_mask(tf.boolean_mask(rows, ~blank), starts),
        tf.size(texts, tf.int64),
        validate=False,
    )


@functools.cache
def _blanks() -> PagedTable:
    """Returns which characters are blanks to the library."""
    codes = np.array(known_codes())
    text = "".join(map(chr, codes.tolist()))
    table = np.zeros(NUM_CODES, np.int32)
    table[codes] = 1
    for _, (start, end) in pre_tokenizers.WhitespaceSplit().pre_tokenize_str(
        text
    ):
        table[codes[start:end]] = 0
    return PagedTable(table)
