"""The merge loop of byte-pair encoding, inside a TensorFlow graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_bigmodel.text.lookup import GraphArray, IntegerTable

if TYPE_CHECKING:
    import tensorflow as tf

NO_RANK = np.iinfo(np.int32).max


class PairMerger:
    """Merge the symbols of many words, lowest rank first, many at a time.

    Byte-pair encoding merges the pair of lowest rank, again and again. A pair
    (a, b) of rank r need not wait for all lower ranks of its word: only for
    those that can still take `a` or `b` away. Whatever takes `a` is a merge
    (F, a) of rank below r, and before it the symbols that lie under F must
    have been merged among themselves. So where all pairs under the longest
    such F, and those on the right under the longest such G of (b, G), have
    higher ranks, the pair is merged now, with the result the one-by-one order
    gives. The number of rounds depends on these short reaches, and hardly on
    the length of the words.

    Args:
        left: left id of each merge, by rank.
        right: right id of each merge.
        merged: id each merge makes.
        lengths: of each id, the number of first symbols it can hold at most.
    """

    def __init__(
        self,
        left: Sequence[int],
        right: Sequence[int],
        merged: Sequence[int],
        lengths: Sequence[int],
    ):
        left, right = np.array(left, np.int64), np.array(right, np.int64)
        merged = np.array(merged, np.int64)
        lengths = np.array(lengths, np.int64)
        # The end of a word is a symbol of its own, which no merge names.
        self._end = len(lengths)
        self._stride = len(lengths) + 1
        ranks = np.arange(len(left))
        self._ranks = IntegerTable(
            left * self._stride + right, ranks, default=NO_RANK
        )
        before = _reaches(right, lengths[left], left)
        after = _reaches(left, lengths[right], right)
        levels = np.stack([_levels(before), _levels(after)])
        self._num_levels = int(levels.max(initial=0))
        # The smallest integers that hold them: a SavedModel keeps the table.
        kind = np.min_scalar_type(self._num_levels)
        levels = np.append(levels, [[0], [0]], axis=1).astype(kind)
        self._levels = GraphArray(levels)
        self._merged = GraphArray(np.append(merged, 0).astype(np.int32))
        # A rank whose result takes part in a merge of no higher rank: equal
        # ranks must then wait for each other too.
        first_use = np.full(self._stride, NO_RANK, np.int64)
        np.minimum.at(first_use, left, ranks)
        np.minimum.at(first_use, right, ranks)
        self._waits = GraphArray(np.append(first_use[merged] <= ranks, False))

    def __call__(
        self, symbols: tf.Tensor, lengths: tf.Tensor
    ) -> tf.RaggedTensor:
        """Return the ids of each word.

        Args:
            symbols: int32 first symbols of all words, one after another.
            lengths: int64 number of symbols of each word.
        """
        import tensorflow as tf

        words = tf.RaggedTensor.from_row_lengths(
            symbols, lengths, validate=False
        )
        ends = tf.fill([tf.size(lengths), 1], self._end)
        symbols = tf.concat([words, ends], axis=1).flat_values
        symbols, _ = tf.while_loop(
            lambda symbols, ranks: tf.reduce_any(ranks != NO_RANK),
            self._merge_some,
            (symbols, self._pair_ranks(symbols)),
            shape_invariants=(tf.TensorShape([None]),) * 2,
        )
        is_end = symbols == self._end
        ends = tf.where(is_end)[:, 0] + 1
        with_ends = tf.RaggedTensor.from_row_limits(
            symbols, ends, validate=False
        )
        lengths = with_ends.row_lengths() - 1
        return tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(symbols, ~is_end), lengths, validate=False
        )

    def _pair_ranks(self, symbols: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        wide = tf.cast(symbols, tf.int64)
        return self._ranks(wide[:-1] * self._stride + wide[1:])

    def _merge_some(
        self, symbols: tf.Tensor, ranks: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        places = tf.minimum(ranks, tf.size(self._merged.tensor()) - 1)
        merges = self._choose(ranks, places)
        merged = tf.gather(self._merged.tensor(), places)
        no = tf.constant([False])
        symbols = tf.where(
            tf.concat([merges, no], 0),
            tf.concat([merged, [0]], 0),
            symbols,
        )
        keep = ~tf.concat([no, merges], 0)
        symbols = tf.boolean_mask(symbols, keep)
        return symbols, self._pair_ranks(symbols)

    def _choose(self, ranks: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        """Return which pairs nothing can disturb any more."""
        import tensorflow as tf

        levels = tf.gather(self._levels.tensor(), places, axis=1)
        # Both directions at once: the second row is read backwards.
        both = tf.stack([ranks, tf.reverse(ranks, [0])])
        levels = tf.stack([levels[0], tf.reverse(levels[1], [0])])
        lowest = _lowest_before(both, levels, self._num_levels)
        waits = tf.gather(self._waits.tensor(), places)
        free = both < lowest
        equal = both == lowest
        free_before = free[0] | (equal[0] & ~waits)
        free_after = tf.reverse(free[1] | equal[1], [0])
        free = free_before & free_after & (ranks != NO_RANK)
        # In a run of one pair, as in "aaaa", every second pair is merged.
        same = tf.concat([[False], ranks[1:] == ranks[:-1]], 0)
        run_starts = tf.where(~same)[:, 0]
        starts = tf.gather(run_starts, tf.cumsum(tf.cast(~same, tf.int32)) - 1)
        offsets = tf.range(tf.size(ranks, tf.int64)) - starts
        return free & (offsets % 2 == 0) & tf.gather(free, starts)


def _lowest_before(
    ranks: tf.Tensor, levels: tf.Tensor, num_levels: int
) -> tf.Tensor:
    """Return the lowest of the last 2 ** (level - 1) ranks before each one.

    Level 0 looks at none and gives `NO_RANK`.
    """
    import tensorflow as tf

    size = tf.shape(ranks)[1]
    width = 2 ** max(num_levels - 1, 0)
    lowest = tf.fill(tf.shape(ranks), NO_RANK)
    window = tf.pad(ranks, [[0, 0], [width, 0]], constant_values=NO_RANK)
    for level in range(1, num_levels + 1):
        # window[t] is the lowest of 2 ** (level - 1) ranks from t onwards.
        reach = 2 ** (level - 1)
        start = width - reach
        here = window[:, start : start + size]
        lowest = tf.where(levels >= level, here, lowest)
        window = tf.minimum(window[:, :-reach], window[:, reach:])
    return lowest


def _levels(reaches: np.ndarray) -> np.ndarray:
    """Return 0 for no reach, else 1 more than the bits to count it."""
    levels = np.ceil(np.log2(np.maximum(reaches, 1))).astype(np.int32) + 1
    return np.where(reaches > 0, levels, 0).astype(np.int32)


def _reaches(
    inner: np.ndarray, lengths: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Return how far from each merge (a, b) another can take `a` away.

    That is the longest `lengths` among the merges of lower rank whose `inner`
    symbol is the merge's `asked` one; 0 where there is none.
    """
    num = len(inner)
    order = np.lexsort((np.arange(num), inner))
    # Longest so far within each inner symbol, by rank: lengths stay below
    # the offset which grows with the symbol.
    offset = int(lengths.max(initial=0)) + 1
    group = np.cumsum(np.diff(inner[order], prepend=-1) != 0)
    longest = np.maximum.accumulate(lengths[order] + group * offset)
    longest -= group * offset
    keys = inner[order] * num + order
    places = np.searchsorted(keys, asked * num + np.arange(num)) - 1
    found = (places >= 0) & (inner[order][places] == asked)
    return np.where(found, longest[places], 0)
