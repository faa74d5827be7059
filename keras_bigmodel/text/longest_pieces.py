"""Words cut into the longest pieces, inside a TensorFlow graph."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from keras_bigmodel.text.trie import END, Trie

if TYPE_CHECKING:
    import tensorflow as tf

# Stands before the symbols of the pieces that go on with a word.
_GOES_ON = END - 1


class LongestPieces:
    """Takes the longest piece a word begins with, and so on to its end.

    Args:
        vocabulary: The pieces and their ids.
        prefix: What marks the pieces that go on with a word.
        unknown_id: The id of a word that cannot be cut.
        longest_word: How many characters a word may have to be cut at all.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        prefix: str,
        unknown_id: int,
        longest_word: int,
    ):
        self._vocabulary = vocabulary
        self._prefix = prefix
        self._unknown_id = unknown_id
        self._longest_word = longest_word

    @functools.cached_property
    def _trie(self) -> Trie:
        # Large vocabularies take a while: only graphs need it.
        words, values = [], []
        for token, token_id in self._vocabulary.items():
            rest = token.removeprefix(self._prefix)
            if token:
                words.append([ord(c) for c in token])
                values.append(token_id)
            if rest and token.startswith(self._prefix):
                words.append([_GOES_ON, *map(ord, rest)])
                values.append(token_id)
        return Trie(words, values)

    def __call__(self, words: tf.Tensor) -> tf.RaggedTensor:
        """Returns the ids of each word's pieces.

        Args:
            words: Strings (words,), none of them empty.
        """
        import tensorflow as tf

        characters = tf.strings.unicode_decode(words, "UTF-8")
        sizes = tf.cast(characters.row_lengths(), tf.int32)
        ends = tf.fill([tf.size(sizes), 1], END)
        characters = tf.concat([characters, ends], axis=1)
        symbols = characters.flat_values
        starts = tf.cast(characters.row_starts(), tf.int32)
        nodes = tf.tensor_scatter_nd_update(
            tf.fill([tf.size(symbols)], self._trie.node([_GOES_ON])),
            starts[:, tf.newaxis],
            tf.zeros_like(starts),
        )
        values, lengths = self._trie.longest_matches(symbols, nodes)
        taken, failed = _follow(symbols, starts, lengths)
        failed |= sizes > self._longest_word
        # A word that fails is one unknown token, kept at its first place.
        lost = tf.repeat(failed, sizes + 1)
        is_start = tf.tensor_scatter_nd_update(
            tf.zeros_like(taken), starts[:, tf.newaxis], tf.ones_like(failed)
        )
        ids = tf.where(lost, self._unknown_id, values)
        return tf.ragged.boolean_mask(
            characters.with_flat_values(ids),
            characters.with_flat_values(tf.where(lost, is_start, taken)),
        )


def _follow(
    symbols: tf.Tensor, starts: tf.Tensor, lengths: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Goes from piece to piece through all words at once.

    Returns:
        At which places a piece was taken, and which words could not be cut.
    """
    import tensorflow as tf

    def go_on(places, words, taken, failed):
        inside = tf.gather(symbols, places) != END
        places = tf.boolean_mask(places, inside)
        words = tf.boolean_mask(words, inside)
        taken = tf.tensor_scatter_nd_update(
            taken, places[:, tf.newaxis], tf.fill(tf.shape(places), True)
        )
        steps = tf.gather(lengths, places)
        stuck = tf.boolean_mask(words, steps == 0)
        failed = tf.tensor_scatter_nd_update(
            failed, stuck[:, tf.newaxis], tf.fill(tf.shape(stuck), True)
        )
        places = tf.boolean_mask(places + steps, steps > 0)
        words = tf.boolean_mask(words, steps > 0)
        return places, words, taken, failed

    _, _, taken, failed = tf.while_loop(
        lambda places, *_: tf.size(places) > 0,
        go_on,
        (
            starts,
            tf.range(tf.size(starts)),
            tf.fill(tf.shape(symbols), False),
            tf.fill(tf.shape(starts), False),
        ),
        shape_invariants=(tf.TensorShape([None]),) * 4,
    )
    return taken, failed
