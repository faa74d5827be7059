"""Cut text into words inside a TensorFlow graph, as tokenizers' patterns do.

The patterns of GPT-2, Llama 3 and Qwen 2 are regular expressions with a
look-ahead, which TensorFlow's lacks, over Unicode's classes, whose version
differs between libraries. Here every character's class comes from a table
made by the `tokenizers` library itself, and the boundaries from comparing
neighbours, all characters at once.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np

from keras_bigmodel.text.lookup import GraphArray

if TYPE_CHECKING:
    import tensorflow as tf

OTHER, LETTER, NUMBER, BLANK, NEWLINE = range(5)
CONTRACTIONS = ("s", "t", "re", "ve", "m", "ll", "d")


@dataclasses.dataclass(frozen=True)
class SplitRules:
    """What sets one pattern apart from the others.

    Args:
        any_case: whether contractions are found in capitals too.
        digits: the most digits in a word; 0 for no limit.
        modern: whether one character of any kind but a newline, letter or
            number joins the letters after it, newlines are kept with what
            precedes them, and numbers take no blank. Else a blank joins
            whatever follows.
    """

    any_case: bool
    digits: int
    modern: bool


_MODERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT2 = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|"
    r"\s+(?!\S)|\s+"
)
LLAMA3 = _MODERN % r"\p{N}{1,3}"
QWEN2 = _MODERN % r"\p{N}"
PATTERNS = {
    GPT2: SplitRules(any_case=False, digits=0, modern=False),
    LLAMA3: SplitRules(any_case=True, digits=3, modern=True),
    QWEN2: SplitRules(any_case=True, digits=1, modern=True),
}


def split_words(texts: tf.Tensor, rules: SplitRules) -> tf.RaggedTensor:
    """Return the words of each text, which together give the text back.

    Args:
        texts: strings (batch,), valid UTF-8.
        rules: which pattern to follow.
    """
    import tensorflow as tf

    characters = tf.strings.unicode_decode(texts, "UTF-8")
    starts = _Characters(characters).word_starts(rules)
    return cut(characters, starts)


def cut(characters: tf.RaggedTensor, starts: tf.Tensor) -> tf.RaggedTensor:
    """Return strings (batch, words) of code points and where words start.

    Args:
        characters: code points (batch, characters).
        starts: of every code point, whether a word starts there. The first
            of each row starts one anyway.
    """
    import tensorflow as tf

    row_starts = characters.row_starts()
    size = tf.size(starts, tf.int64)
    first = tf.scatter_nd(
        tf.boolean_mask(row_starts, characters.row_lengths() > 0)[:, None],
        tf.ones_like(tf.boolean_mask(row_starts, characters.row_lengths() > 0)),
        [size],
    )
    starts |= first > 0
    words = tf.RaggedTensor.from_row_starts(
        characters.flat_values, tf.where(starts)[:, 0], validate=False
    )
    strings = tf.strings.unicode_encode(words, "UTF-8")
    num_before = tf.concat([[0], tf.cumsum(tf.cast(starts, tf.int64))], 0)
    splits = tf.gather(num_before, characters.row_splits)
    return tf.RaggedTensor.from_row_splits(strings, splits, validate=False)


class _Characters:
    """The characters of all texts in one row, and questions about them."""

    def __init__(self, characters: tf.RaggedTensor):
        import tensorflow as tf

        self.codes = characters.flat_values
        self.rows = tf.cast(characters.value_rowids(), tf.int32)
        kinds = tf.gather(_pages()[0].tensor(), self.codes // 256)
        self.kinds = tf.gather(
            _pages()[1].tensor(), kinds * 256 + self.codes % 256
        )

    def near(self, values: tf.Tensor, offset: int) -> tf.Tensor:
        """Return the value `offset` characters on; False outside the text."""
        import tensorflow as tf

        size = tf.size(values)
        skip = abs(offset)
        kept = tf.maximum(size - skip, 0)
        same_row = self.rows[size - kept :] == self.rows[:kept]
        moved = values[size - kept :] if offset > 0 else values[:kept]
        empty = tf.fill([size - kept], False)
        parts = [moved & same_row, empty]
        return tf.concat(parts if offset > 0 else parts[::-1], 0)

    def is_run_start(self, kinds: tf.Tensor) -> tf.Tensor:
        """Return whether the character before is of another kind or none."""
        import tensorflow as tf

        runs = kinds * tf.size(self.rows) + self.rows
        return tf.concat([[True], runs[1:] != runs[:-1]], 0)[: tf.size(runs)]

    def word_starts(self, rules: SplitRules) -> tf.Tensor:
        """Return whether a word starts at each character."""
        import tensorflow as tf

        kinds = self.kinds
        blank = kinds >= BLANK
        newline = (kinds == NEWLINE) & rules.modern
        space = self.codes == ord(" ")
        letter, number = kinds == LETTER, kinds == NUMBER
        other = kinds == OTHER
        starts = self.is_run_start(tf.minimum(kinds, BLANK))

        after_space = self.near(space, -1)
        alone = other & starts & ~after_space
        if rules.modern:
            joins = letter & (
                self.near(blank & ~newline, -1) | self.near(alone, -1)
            )
            joins |= other & after_space
        else:
            joins = ~blank & after_space
        last_blank = blank & ~newline & self.near(~blank, 1)
        result = (starts & ~joins) | last_blank
        if rules.modern:
            result = self._keep_newlines(result, blank, newline, other)
        if rules.digits:
            places = self._places_in_runs(starts)
            result |= number & (places % rules.digits == 0)
        return self._cut_contractions(result, alone, rules.any_case)

    def _keep_newlines(
        self,
        starts: tf.Tensor,
        blank: tf.Tensor,
        newline: tf.Tensor,
        other: tf.Tensor,
    ) -> tf.Tensor:
        """Put newlines with other characters or the blanks before them."""
        import tensorflow as tf

        # Newlines right after other characters belong to their word.
        runs = self.is_run_start(tf.cast(newline, tf.int32))
        run_ids = tf.cumsum(tf.cast(runs, tf.int32)) - 1
        after_other = tf.boolean_mask(self.near(other, -1), runs)
        taken = newline & tf.gather(after_other, run_ids)
        # The rest of a run of blanks is one word up to its last newline.
        free = blank & ~taken
        head = free & ~self.near(free, -1)
        blank_starts = self.is_run_start(tf.cast(blank, tf.int32))
        run_ids = tf.cumsum(tf.cast(blank_starts, tf.int32)) - 1
        later = tf.cumsum(tf.cast(newline, tf.int32), reverse=True)
        ends = tf.where(blank_starts)[1:, 0]
        at_end = tf.concat([tf.gather(later, ends), [0]], 0)
        none_later = later == tf.gather(at_end, run_ids)
        tail = free & none_later & ~newline & self.near(newline, -1)
        last = free & ~newline & self.near(~blank, 1)
        return tf.where(blank, head | tail | last, starts)

    def _places_in_runs(self, starts: tf.Tensor) -> tf.Tensor:
        """Return how many characters lie between a run's start and each."""
        import tensorflow as tf

        run_ids = tf.cumsum(tf.cast(starts, tf.int32)) - 1
        firsts = tf.gather(tf.where(starts)[:, 0], run_ids)
        return tf.range(tf.size(starts, tf.int64)) - firsts

    def _cut_contractions(
        self, starts: tf.Tensor, alone: tf.Tensor, any_case: bool
    ) -> tf.Tensor:
        """Keep 's, 't, 're and their like apart from what follows."""
        quote = alone & (self.codes == ord("'"))
        is_letter = {
            letter: self._is_letter(letter, any_case)
            for letter in set("".join(CONTRACTIONS))
        }
        one, two = quote & False, quote & False
        for letters in CONTRACTIONS:
            found = quote
            for place, letter in enumerate(letters):
                found &= self.near(is_letter[letter], place + 1)
            one, two = (
                (one | found, two) if len(letters) == 1 else (one, two | found)
            )
        starts &= ~self.near(one | two, -1)
        return starts | self.near(one, -2) | self.near(two, -3)

    def _is_letter(self, letter: str, any_case: bool) -> tf.Tensor:
        found = self.codes == ord(letter)
        if any_case:
            found |= self.codes == ord(letter.upper())
        if any_case and letter == "s":
            # The long s is an s to a regular expression without case.
            found |= self.codes == ord("\u017f")
        return found


@functools.cache
def _pages() -> tuple[GraphArray, GraphArray]:
    """Return the page of each 256 code points, and the pages' classes."""
    classes = character_classes().reshape(-1, 256)
    pages, index = np.unique(classes, axis=0, return_inverse=True)
    return (
        GraphArray(index.reshape(-1).astype(np.int32)),
        GraphArray(pages.reshape(-1).astype(np.int32)),
    )


@functools.cache
def character_classes() -> np.ndarray:
    """Return each code point's class, as the `tokenizers` library sees it."""
    from tokenizers import Regex, pre_tokenizers

    # Beyond plane 3 only the tags of plane 14 are assigned.
    codes = [*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xF0000)]
    text = "".join(map(chr, codes))
    codes = np.array(codes)
    classes = np.zeros(0x110000, np.int8)
    for pattern, kind in (
        (r"\p{L}+", LETTER),
        (r"\p{N}+", NUMBER),
        (r"\s+", BLANK),
    ):
        split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
        for _, (start, end) in split.pre_tokenize_str(text):
            classes[codes[start:end]] = kind
    classes[[ord("\r"), ord("\n")]] = NEWLINE
    return classes
