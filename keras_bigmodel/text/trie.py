"""Find words of a list in sequences of symbols, inside a TensorFlow graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_bigmodel.text.lookup import GraphArray, IntegerTable

if TYPE_CHECKING:
    import tensorflow as tf

# After code points: what ends a sequence and is in no word.
NUM_SYMBOLS = 0x110002
END = NUM_SYMBOLS - 1
NOTHING = -1


class Trie:
    """Words as paths from one root, symbol by symbol.

    Args:
        words: Sequences of symbols from 0 to `NUM_SYMBOLS - 2`, distinct and
            not empty.
        values: What each word stands for, int32 and not negative.
    """

    def __init__(self, words: Sequence[Sequence[int]], values: Sequence[int]):
        steps: dict[int, int] = {}
        word_values = [NOTHING]
        for word, value in zip(words, values, strict=True):
            node = 0
            for symbol in word:
                key = node * NUM_SYMBOLS + symbol
                node = steps.setdefault(key, len(word_values))
                if node == len(word_values):
                    word_values.append(NOTHING)
            word_values[node] = value
        self._table = steps
        self._steps = IntegerTable(
            np.fromiter(steps.keys(), np.int64, len(steps)),
            np.fromiter(steps.values(), np.int32, len(steps)),
        )
        self._values = GraphArray(np.array(word_values, np.int32))
        self.longest = max(map(len, words), default=0)

    def node(self, symbols: Sequence[int]) -> int:
        """Returns where a path from the root leads, `NOTHING` if nowhere."""
        node = 0
        for symbol in symbols:
            node = self._table.get(node * NUM_SYMBOLS + symbol, NOTHING)
            if node == NOTHING:
                break
        return node

    def step(self, nodes: tf.Tensor, symbols: tf.Tensor) -> tf.Tensor:
        """Returns the next nodes, `NOTHING` where no word goes on so."""
        import tensorflow as tf

        keys = tf.cast(nodes, tf.int64) * NUM_SYMBOLS
        return self._steps(keys + tf.cast(symbols, tf.int64))

    def value(self, nodes: tf.Tensor) -> tf.Tensor:
        """Returns the values of the words that end at nodes, else `NOTHING`."""
        import tensorflow as tf

        return tf.gather(self._values.tensor(), nodes)

    def longest_matches(
        self, symbols: tf.Tensor, nodes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the longest word that begins at each place, and its length.

        Args:
            symbols: int32 symbols; each sequence ends with `END`.
            nodes: int32 node from which to start at each place.

        Returns:
            The word's value, `NOTHING` where there is none, and its length.
        """
        import tensorflow as tf

        size = tf.size(symbols)

        def go_on(length, places, nodes, values, lengths):
            nodes = self.step(nodes, tf.gather(symbols, places + length))
            places = tf.boolean_mask(places, nodes >= 0)
            nodes = tf.boolean_mask(nodes, nodes >= 0)
            found = self.value(nodes)
            ends = tf.boolean_mask(places, found >= 0)[:, tf.newaxis]
            found = tf.boolean_mask(found, found >= 0)
            length += 1
            values = tf.tensor_scatter_nd_update(values, ends, found)
            lengths = tf.tensor_scatter_nd_update(
                lengths, ends, tf.fill(tf.shape(found), length)
            )
            return length, places, nodes, values, lengths

        any_size = tf.TensorShape([None])
        state = tf.while_loop(
            lambda length, places, *_: tf.size(places) > 0,
            go_on,
            (
                tf.constant(0),
                tf.range(size),
                nodes,
                tf.fill([size], NOTHING),
                tf.zeros([size], tf.int32),
            ),
            shape_invariants=(tf.TensorShape([]),) + (any_size,) * 4,
        )
        return state[3], state[4]

    def all_matches(self, symbols: tf.Tensor) -> tf.Tensor:
        """Returns the words of each length that begin at each place.

        Args:
            symbols: int32 symbols; each sequence ends with `END`.

        Returns:
            int32 values (lengths, places), lengths from 1 up to the longest
            word met, `NOTHING` where there is no word.
        """
        import tensorflow as tf

        size = tf.size(symbols)

        def go_on(places, nodes, found):
            length = found.size()
            nodes = self.step(nodes, tf.gather(symbols, places + length))
            places = tf.boolean_mask(places, nodes >= 0)
            nodes = tf.boolean_mask(nodes, nodes >= 0)
            values = tf.tensor_scatter_nd_update(
                tf.fill([size], NOTHING),
                places[:, tf.newaxis],
                self.value(nodes),
            )
            return places, nodes, found.write(length, values)

        any_size = tf.TensorShape([None])
        found = tf.TensorArray(
            tf.int32, 0, dynamic_size=True, element_shape=any_size
        )
        _, _, found = tf.while_loop(
            lambda places, nodes, found: tf.size(places) > 0,
            go_on,
            (tf.range(size), tf.zeros([size], tf.int32), found),
            shape_invariants=(any_size, any_size, tf.TensorShape(None)),
        )
        # Without places nothing was looked for.
        found = found.write(found.size(), tf.fill([size], NOTHING))
        return found.stack()
