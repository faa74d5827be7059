"""Replace characters inside a TensorFlow graph, each by none, one or more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from keras_bigmodel.text.lookup import GraphArray

if TYPE_CHECKING:
    import tensorflow as tf

NUM_CODES = 0x110000
# In a replacement: the character that is replaced.
ITSELF = -1
# A digit: what stands between two characters when the library is asked about
# many at once. No normalization joins it to its neighbours.
_BETWEEN = "0"


# The planes for private use: all their characters are alike.
_PRIVATE = (range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))


def known_codes() -> list[int]:
    """Returns the code points that may differ from those around them."""
    parts = (
        range(0xD800),
        range(0xE000, 0x34000),
        range(0xE0000, 0xE1000),
        *(part[:1] for part in _PRIVATE),
    )
    codes = [code for part in parts for code in part]
    codes.remove(ord(_BETWEEN))
    return codes


def each_normalized(normalize: Callable[[str], str]) -> dict[int, list[int]]:
    """Returns what a function makes of each character it changes.

    Args:
        normalize: A function of the `tokenizers` library, which treats
            characters apart. It is asked about all of them at once.
    """
    codes = known_codes()
    text = _BETWEEN.join(map(chr, codes))
    parts = normalize(text).split(_BETWEEN)
    found = {
        code: [ord(character) for character in part]
        for code, part in zip(codes, parts, strict=True)
        if part != chr(code)
    }
    for part in _PRIVATE:
        if part[0] in found:
            found |= dict.fromkeys(part, found[part[0]])
    return found


class PagedTable:
    """A number for each code point; pages that are alike are kept once.

    Args:
        values: An array of integers, one for each code point, and for as many
            numbers above as are wanted.
    """

    def __init__(self, values: np.ndarray):
        values = np.asarray(values, np.int32)
        rows = np.pad(values, (0, -len(values) % 256)).reshape(-1, 256)
        pages: dict[bytes, int] = {}
        index = [pages.setdefault(row.tobytes(), len(pages)) for row in rows]
        self._index = GraphArray(np.array(index, np.int32))
        self._pages = GraphArray(np.frombuffer(b"".join(pages), np.int32))

    def __call__(self, codes: tf.Tensor) -> tf.Tensor:
        """Returns the int32 numbers of int32 code points."""
        import tensorflow as tf

        page = tf.gather(self._index.tensor(), codes // 256)
        return tf.gather(self._pages.tensor(), page * 256 + codes % 256)


class CharacterMap:
    """Replaces code points by sequences of code points.

    Args:
        replacements: The sequences, by code point. In them `ITSELF` stands
            for the code point; others are left as they are. Numbers above the
            last code point may be replaced too.
    """

    def __init__(self, replacements: dict[int, list[int]]):
        distinct: dict[tuple[int, ...], int] = {(ITSELF,): 0}
        size = max(NUM_CODES, 1 + max(replacements, default=0))
        kinds = np.zeros(size, np.int32)
        for code, sequence in replacements.items():
            key = tuple(sequence)
            if len(key) > 1:
                # So that many characters share one sequence.
                key = tuple(ITSELF if new == code else new for new in key)
            kinds[code] = distinct.setdefault(key, len(distinct))
        lengths = np.array([len(key) for key in distinct], np.int32)
        flat = [new for key in distinct for new in key]
        self._kinds = PagedTable(kinds)
        self._lengths = GraphArray(lengths)
        self._starts = GraphArray(np.cumsum(lengths) - lengths)
        self._flat = GraphArray(np.array(flat, np.int32))

    def changes(self, codes: tf.Tensor) -> tf.Tensor:
        """Returns which code points have a sequence, be it themselves."""
        return self._kinds(codes) > 0

    def __call__(self, characters: tf.RaggedTensor) -> tf.RaggedTensor:
        """Returns the rows of int32 code points, characters replaced."""
        import tensorflow as tf

        codes = characters.flat_values
        kinds = self._kinds(codes)
        lengths = tf.gather(self._lengths.tensor(), kinds)
        places = tf.repeat(tf.range(tf.size(codes)), lengths)
        ends = tf.cumsum(lengths)
        offsets = tf.range(tf.size(places)) - tf.gather(ends - lengths, places)
        starts = tf.gather(self._starts.tensor(), kinds)
        new = tf.gather(
            self._flat.tensor(),
            tf.gather(tf.cast(starts, tf.int32), places) + offsets,
        )
        flat = tf.where(new == ITSELF, tf.gather(codes, places), new)
        limits = tf.concat([[0], ends], 0)
        splits = tf.gather(limits, characters.row_splits)
        return tf.RaggedTensor.from_row_splits(
            flat, tf.cast(splits, tf.int64), validate=False
        )
