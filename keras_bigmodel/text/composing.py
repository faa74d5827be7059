"""Unicode's normalization form C inside a TensorFlow graph.

Most texts are in this form already, which one table lookup shows. The others
are decomposed, their marks sorted, and composed again, all characters of all
texts at once.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from keras_bigmodel.text.lookup import GraphArray, IntegerTable

if TYPE_CHECKING:
    import tensorflow as tf

# No code point lies above.
_STRIDE = 0x110000


def compose(texts: tf.Tensor) -> tf.Tensor:
    """Return the texts in form C.

    Args:
        texts: strings, valid UTF-8.
    """
    import tensorflow as tf

    characters = tf.strings.unicode_decode(texts, "UTF-8")
    wide = tf.cast(characters.flat_values, tf.int64)
    return tf.cond(
        tf.reduce_any(_tables().active(wide) > 0),
        lambda: _compose_all(characters),
        lambda: texts,
    )


def _compose_all(characters: tf.RaggedTensor) -> tf.Tensor:
    import tensorflow as tf

    characters = _decompose(characters)
    codes = characters.flat_values
    rows = characters.value_rowids()
    classes = _tables().classes(codes)
    # Marks are sorted by class between one starter and the next.
    head = tf.concat([[True], rows[1:] != rows[:-1]], 0)[: tf.size(rows)]
    groups = tf.cumsum(tf.cast(head | (classes == 0), tf.int32))
    order = tf.argsort(groups * 256 + classes, stable=True)
    codes, classes = tf.gather(codes, order), tf.gather(classes, order)
    passed = tf.fill(tf.shape(codes), False)
    one = tf.TensorShape([None])
    codes, _, rows, _, _ = tf.while_loop(
        lambda codes, classes, rows, passed, more: more,
        _compose_some,
        (codes, classes, rows, passed, tf.size(codes) > 0),
        shape_invariants=(one, one, one, one, tf.TensorShape([])),
    )
    composed = tf.RaggedTensor.from_value_rowids(
        tf.cast(codes, tf.int32), rows, characters.nrows(), validate=False
    )
    return tf.strings.unicode_encode(composed, "UTF-8")


def _decompose(characters: tf.RaggedTensor) -> tf.RaggedTensor:
    """Return int64 code points of which none decomposes."""
    import tensorflow as tf

    tables = _tables()
    codes = tf.cast(characters.flat_values, tf.int64)
    places = tables.places(codes)
    keep = places < 0
    alone = tf.RaggedTensor.from_row_lengths(
        tf.boolean_mask(codes, keep), tf.cast(keep, tf.int64), validate=False
    )
    parts = tf.RaggedTensor.from_row_splits(
        tables.parts.tensor(), tables.splits.tensor(), validate=False
    )
    # The last row is empty, for characters that stay.
    empty = tf.size(tables.splits.tensor()) - 2
    parts = tf.gather(parts, tf.where(keep, empty, places))
    both = tf.concat([alone, parts], axis=1)
    return characters.with_flat_values(both).merge_dims(1, 2)


def _compose_some(
    codes: tf.Tensor,
    classes: tf.Tensor,
    rows: tf.Tensor,
    passed: tf.Tensor,
    more: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """Give each starter the next mark that composes with it, if any."""
    import tensorflow as tf

    del more
    places = tf.range(tf.size(codes))
    is_starter = classes == 0
    starters = tf.concat([[-1], tf.where(is_starter, places, -1)[:-1]], 0)
    starters = _running_maximum(starters)
    own = tf.maximum(starters, 0)
    before = tf.concat([[0], classes[:-1]], 0)
    blocked = (starters != places - 1) & (before >= classes)
    pairs = tf.gather(codes, own) * _STRIDE + codes
    composed = _tables().pairs(pairs)
    can = (composed >= 0) & ~blocked & ~passed & (starters >= 0)
    can &= tf.gather(rows, own) == rows
    # A starter that may join the one before it must not take marks yet.
    can &= ~tf.gather(can, own)
    num = tf.size(codes)
    first = tf.math.unsorted_segment_min(tf.where(can, places, num), own, num)
    takes = first < num
    taken = can & (tf.gather(first, own) == places)
    mates = tf.gather(composed, tf.minimum(first, num - 1))
    codes = tf.where(takes, tf.cast(mates, tf.int64), codes)
    passed |= (
        (starters >= 0)
        & (places < tf.gather(first, own))
        & tf.gather(takes, own)
    )
    keep = ~taken
    return (
        *(tf.boolean_mask(x, keep) for x in (codes, classes, rows, passed)),
        tf.reduce_any(taken),
    )


def _running_maximum(places: tf.Tensor) -> tf.Tensor:
    """Return the last place that is not -1, up to each; -1 before any."""
    import tensorflow as tf

    found = places >= 0
    known = tf.concat([[-1], tf.boolean_mask(places, found)], 0)
    return tf.gather(known, tf.cumsum(tf.cast(found, tf.int32)))


class _Tables:
    """What the library's normalization does to each character."""

    def __init__(self):
        codes = [*range(0xD800), *range(0xE000, 0x32000)]
        codes = [code for code in codes if chr(code) != "\n"]
        decomposed = _normalized("NFD", [chr(code) for code in codes])
        parts = {
            code: text
            for code, text in zip(codes, decomposed, strict=True)
            if text != chr(code)
        }
        marks = _marks(codes, parts)
        pairs = _pairs(parts)
        texts = [chr(code) for code in parts]
        changed = {
            ord(text)
            for text, composed in zip(
                texts, _normalized("NFC", texts), strict=True
            )
            if text != composed
        }
        active = changed | set(marks) | {second for _, second in pairs}
        self.active = _table(dict.fromkeys(active, 1), 0)
        self.classes = _table(marks, 0)
        self.places = _table({code: i for i, code in enumerate(parts)}, -1)
        lengths = [len(text) for text in parts.values()]
        flat = [ord(character) for text in parts.values() for character in text]
        self.parts = GraphArray(np.array(flat, np.int64))
        splits = np.cumsum([0, *lengths, 0]).astype(np.int64)
        self.splits = GraphArray(splits)
        self.pairs = _table(
            {a * _STRIDE + b: code for (a, b), code in pairs.items()}, -1
        )


_tables = functools.cache(_Tables)


def _marks(codes: list[int], parts: dict[int, str]) -> dict[int, int]:
    """Return the combining classes the library knows."""
    last = "\u0345"  # Its class is the highest.
    marks = [
        code
        for code in codes
        if unicodedata.combining(chr(code)) and code not in parts
    ]
    sorted_texts = _normalized("NFD", [f"a{last}{chr(m)}" for m in marks])
    return {
        mark: unicodedata.combining(chr(mark))
        for mark, text in zip(marks, sorted_texts, strict=True)
        if text == f"a{chr(mark)}{last}" or chr(mark) == last
    }


def _pairs(parts: dict[int, str]) -> dict[tuple[int, int], int]:
    """Return which two characters the library composes, and to what."""
    found = {}
    for code in parts:
        if 0xAC00 <= code <= 0xD7A3:
            # Hangul: a vowel joins a consonant, a last consonant the two.
            last = (code - 0xAC00) % 28
            text = parts[code]
            pair = (code - last, 0x11A7 + last) if last else None
            found[pair or (ord(text[0]), ord(text[1]))] = code
            continue
        names = unicodedata.decomposition(chr(code)).split()
        if len(names) == 2:
            found[int(names[0], 16), int(names[1], 16)] = code
    texts = [chr(first) + chr(second) for first, second in found]
    composed = _normalized("NFC", texts)
    return {
        pair: code
        for (pair, code), text in zip(found.items(), composed, strict=True)
        if text == chr(code)
    }


def _normalized(form: str, texts: list[str]) -> list[str]:
    from tokenizers import normalizers

    normalizer = getattr(normalizers, form)()
    return normalizer.normalize_str("\n".join(texts)).split("\n")


def _table(entries: dict[int, int], default: int) -> IntegerTable:
    return IntegerTable(
        np.array(list(entries), np.int64),
        np.array(list(entries.values()), np.int32),
        default,
    )
