"""Clean and cut text as BERT does, inside a TensorFlow graph."""

from __future__ import annotations

import functools
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import normalizers, pre_tokenizers

from keras_bigmodel.text.character_map import (
    NUM_CODES,
    CharacterMap,
    PagedTable,
    each_normalized,
    known_codes,
)

if TYPE_CHECKING:
    import tensorflow as tf

BLANK, PUNCTUATION = 1, 2
# Stands for a mark that is left out but between whose neighbours no marks
# change places.
_WALL = NUM_CODES


class BertNormalizer:
    """Cleans text, sets Chinese characters apart, strips accents, lowers.

    What becomes of each character is asked of the `tokenizers` library. It
    decomposes characters to strip their accents, and so puts the marks that
    are no accents in Unicode's canonical order; that is done here as well.

    Args:
        options: The normalizer's part of a tokenizer.json.
    """

    def __init__(self, options: dict[str, Any]):
        lowercase = bool(options.get("lowercase", True))
        strips = options.get("strip_accents")
        self.strips = lowercase if strips is None else bool(strips)
        self._map = _character_map(
            bool(options.get("clean_text", True)),
            bool(options.get("handle_chinese_chars", True)),
            self.strips,
            lowercase,
        )

    def __call__(self, texts: tf.Tensor) -> tf.Tensor:
        """Returns the strings, normalized."""
        import tensorflow as tf

        characters = tf.strings.unicode_decode(texts, "UTF-8")
        characters = self._map(characters)
        if self.strips:
            characters = _in_canonical_order(characters)
        return tf.strings.unicode_encode(characters, "UTF-8")


@functools.cache
def _character_map(*options: bool) -> CharacterMap:
    replacements = each_normalized(
        normalizers.BertNormalizer(*options).normalize_str
    )
    if options[2]:
        classes = _canonical_classes()
        for code, sequence in replacements.items():
            is_mark = unicodedata.category(chr(code)) == "Mn"
            if not sequence and is_mark and code not in classes:
                replacements[code] = [_WALL]
    return CharacterMap(replacements)


@functools.cache
def _canonical_classes() -> dict[int, int]:
    """Returns the classes of the marks that the library puts in order.

    It knows an older Unicode than Python, so it is asked: a mark it knows
    goes before the iota below, the mark of the highest class.
    """
    codes = [c for c in known_codes() if unicodedata.combining(chr(c))]
    text = "".join(f"0\u0345{chr(code)}" for code in codes)
    parts = normalizers.NFD().normalize_str(text).split("0")[1:]
    return {
        code: unicodedata.combining(chr(code))
        for code, part in zip(codes, parts, strict=True)
        if part.endswith("\u0345")
    }


@functools.cache
def _mark_classes() -> PagedTable:
    """Returns the class of each mark; all but accents meet it."""
    table = np.zeros(NUM_CODES + 1, np.int32)
    for code, number in _canonical_classes().items():
        table[code] = number
    return PagedTable(table)


def _in_canonical_order(characters: tf.RaggedTensor) -> tf.RaggedTensor:
    """Puts runs of marks in order of their class, and leaves walls out."""
    import tensorflow as tf

    codes = characters.flat_values
    rows = tf.cast(characters.value_rowids(), tf.int64)
    classes = tf.cast(_mark_classes()(codes), tf.int64)
    # A mark belongs to the character before it.
    runs = tf.cumsum(tf.cast(classes == 0, tf.int64)) + rows
    codes = tf.cond(
        tf.reduce_any(classes > 0),
        lambda: tf.gather(codes, tf.argsort(runs * 256 + classes, stable=True)),
        lambda: codes,
    )
    keep = codes != _WALL
    return tf.ragged.boolean_mask(
        characters.with_flat_values(codes), characters.with_flat_values(keep)
    )


def split_words(texts: tf.Tensor) -> tf.RaggedTensor:
    """Returns the words (batch, words): between blanks, punctuation alone."""
    import tensorflow as tf

    characters = tf.strings.unicode_decode(texts, "UTF-8")
    kinds = _kinds()(characters.flat_values)
    kept = kinds != BLANK
    rows = characters.value_rowids()
    # A word begins where the kind or the text changes, and at punctuation.
    changes = (kinds[1:] != kinds[:-1]) | (rows[1:] != rows[:-1])
    first = tf.ones_like(kept[:1])
    starts = tf.concat([first, changes], 0) | (kinds == PUNCTUATION)
    starts = tf.boolean_mask(starts, kept)
    codes = tf.boolean_mask(characters.flat_values, kept)
    words = tf.RaggedTensor.from_row_starts(
        codes, tf.where(starts)[:, 0], validate=False
    )
    strings = tf.strings.unicode_encode(words, "UTF-8")
    word_rows = tf.boolean_mask(tf.boolean_mask(rows, kept), starts)
    return tf.RaggedTensor.from_value_rowids(
        strings, word_rows, tf.size(texts, tf.int64), validate=False
    )


@functools.cache
def _kinds() -> PagedTable:
    """Returns which characters are blanks or punctuation, by the library."""
    codes = np.array(known_codes())
    text = "a".join(map(chr, codes.tolist()))
    kinds = np.full(len(text), BLANK)
    for _, (start, end) in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(
        text
    ):
        kinds[start:end] = PUNCTUATION if end - start == 1 else 0
    table = np.zeros(NUM_CODES, np.int32)
    table[codes] = kinds[::2]
    return PagedTable(table)
