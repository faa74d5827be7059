"""Find user-perceived characters inside a TensorFlow graph.

Only what can matter to a cluster of fewer than six bytes is followed; the
`tokenizers` library looks at no other (see `precompiled.py`). Flags, which are
pairs of four-byte letters, are therefore left apart.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Regex, normalizers, pre_tokenizers

from keras_bigmodel.text.character_map import NUM_CODES, PagedTable
from keras_bigmodel.text.charsmap import write_charsmap

if TYPE_CHECKING:
    import tensorflow as tf

OTHER, EXTENDS, PRECEDES, CONTROL, PICTURE, LEAD, VOWEL, TAIL, BOTH, ALL = (
    range(10)
)
_JOINER = 0x200D
# Planes beyond hold neither marks nor letters, but for the tags of plane 14.
_CODES = [*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE1000)]


def joined(characters: tf.RaggedTensor) -> tf.Tensor:
    """Returns whether each character shares a cluster with the one before.

    Args:
        characters: int32 code points (batch, characters).
    """
    import tensorflow as tf

    codes, rows = characters.flat_values, characters.value_rowids()
    kinds = _kinds()(codes)
    before, after = kinds[:-1], kinds[1:]
    hangul = (before == LEAD) & (after >= LEAD) & (after != TAIL)
    hangul |= ((before == VOWEL) | (before == BOTH)) & (
        (after == VOWEL) | (after == TAIL)
    )
    hangul |= ((before == TAIL) | (before == ALL)) & (after == TAIL)
    result = (
        (after == EXTENDS)
        | ((before == PRECEDES) & (after != CONTROL))
        | hangul
        | _picture_joined(codes, rows, kinds)
    )
    result &= before != CONTROL
    result |= (codes[:-1] == ord("\r")) & (codes[1:] == ord("\n"))
    result &= rows[1:] == rows[:-1]
    return tf.concat([tf.zeros_like(codes[:1], tf.bool), result], 0)


def _picture_joined(codes: tf.Tensor, rows: tf.Tensor, kinds: tf.Tensor):
    """Returns whether a joiner ties two pictures, for each but the first."""
    import tensorflow as tf

    # The last character that does not extend another, going back from each.
    carries = kinds != EXTENDS
    numbers = tf.maximum(tf.cumsum(tf.cast(carries, tf.int32)) - 1, 0)
    places = tf.concat([tf.where(carries)[:, 0], [0]], 0)
    carriers = tf.gather(places, numbers)
    tied = (tf.gather(kinds, carriers) == PICTURE) & (
        tf.gather(rows, carriers) == rows
    )
    return (kinds[1:] == PICTURE) & (codes[:-1] == _JOINER) & tied[:-1]


@functools.cache
def _kinds() -> PagedTable:
    """Returns each character's part in clusters, as the library has it."""
    kinds = np.zeros(NUM_CODES, np.int32)
    for code in _CODES:
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp"):
            kinds[code] = CONTROL
    for first, last in _IGNORED:
        kinds[first : last + 1] = CONTROL
    for kind, first, last in _HANGUL:
        kinds[first : last + 1] = kind
    kinds[0xAC00:0xD7A4:28] = BOTH
    kinds[_pictures()] = PICTURE
    kinds[_preceding()] = PRECEDES
    kinds[_extending()] = EXTENDS
    return PagedTable(kinds)


# Not assigned, but ignored by default.
_IGNORED = (
    (0x2065, 0x2065),
    (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),
)
_HANGUL = (
    (LEAD, 0x1100, 0x115F),
    (LEAD, 0xA960, 0xA97C),
    (VOWEL, 0x1160, 0x11A7),
    (VOWEL, 0xD7B0, 0xD7C6),
    (TAIL, 0x11A8, 0x11FF),
    (TAIL, 0xD7CB, 0xD7FB),
    (ALL, 0xAC00, 0xD7A3),
)


# Where letters that precede others are found.
_BRAHMIC = {*range(0x900, 0xE00), *range(0x11000, 0x12000)}


def _extending() -> list[int]:
    """Returns the characters that belong to whatever stands before them.

    The library reveals them: where a cluster begins with something its map
    knows, the rest of the cluster is lost.
    """
    codes = [c for c in _CODES if unicodedata.category(chr(c))[0] in "MCLS"]
    parts = _ask("a", [chr(code) for code in codes])
    return [c for c, part in zip(codes, parts, strict=True) if part == "X"]


def _pictures() -> list[int]:
    """Returns the characters that a joiner ties to a picture before them."""
    codes = [c for c in _CODES if unicodedata.category(chr(c))[0] in "SPCN"]
    parts = _ask("\u00a9", [f"\u200d{chr(code)}" for code in codes])
    return [
        code
        for code, part in zip(codes, parts, strict=True)
        if part.startswith("X\u200d")
    ]


def _ask(known: str, rests: list[str]) -> list[str]:
    """Returns what a map that turns `known` to X makes of it and each rest."""
    normalize = normalizers.Precompiled(write_charsmap({known: "X"}))
    text = "\n".join(known + rest.replace("\n", " ") for rest in rests)
    return normalize.normalize_str(text).split("\n")


def _preceding() -> list[int]:
    """Returns the characters that belong to whatever stands behind them."""
    codes = [
        code
        for code in _CODES
        if unicodedata.category(chr(code)) == "Cf"
        or (unicodedata.category(chr(code)) == "Lo" and code in _BRAHMIC)
    ]
    pattern = Regex(r"\X")
    text = "\n".join(f"{chr(code)}a" for code in codes)
    found = pre_tokenizers.Split(pattern, "isolated").pre_tokenize_str(text)
    return [ord(part[0]) for part, _ in found if len(part) > 1]
