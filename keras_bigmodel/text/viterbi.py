"""The likeliest cut of words into pieces, inside a TensorFlow graph."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_bigmodel.text.lookup import GraphArray
from keras_bigmodel.text.trie import END, Trie

if TYPE_CHECKING:
    import tensorflow as tf

# What an unknown character costs more than the unlikeliest piece.
UNKNOWN_PENALTY = 10.0
LONGEST_PIECE = 256


class LikeliestPieces:
    """Cuts words into the pieces whose log-probabilities sum to the most.

    From left to right, for all words at once: the best cut that ends at a
    character is the best of those that end where one of the pieces that end
    there begins, and that piece. Sums are taken in float64 and in the order
    of the `tokenizers` library, and of equal sums the one with the longest
    last piece wins as there, so that even ties fall alike.

    A word may be cut beforehand where no piece crosses, and its parts treated
    at once, if sums do not hang on what was added before: that is so where
    scores have few bits, as those of float32 have, and all sums are exact.

    Args:
        pieces: The pieces, by id.
        scores: The log-probability of each piece.
        unknown_id: The id of a character that is no piece.

    Raises:
        ValueError: where a piece is too long.
    """

    def __init__(
        self, pieces: Sequence[str], scores: Sequence[float], unknown_id: int
    ):
        longest = max(map(len, pieces))
        if longest > LONGEST_PIECE:
            raise ValueError(
                f"A piece may have {LONGEST_PIECE} characters at most. "
                f"Received: a piece of {longest}"
            )
        self._pieces = pieces
        self._unknown_id = unknown_id
        # The last score is the unknown character's.
        unknown_score = min(scores) - UNKNOWN_PENALTY
        all_scores = np.array([*scores, unknown_score], np.float64)
        self._scores = GraphArray(all_scores)
        self._exact_length = _exact_length(all_scores)

    @functools.cached_property
    def _trie(self) -> Trie:
        # Large vocabularies take a second: only graphs need it.
        ids = [i for i, piece in enumerate(self._pieces) if piece]
        return Trie([[ord(c) for c in self._pieces[i]] for i in ids], ids)

    def __call__(
        self, characters: tf.RaggedTensor
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
        """Returns each word's pieces: their ids and their first characters.

        Args:
            characters: int32 code points (words, characters).
        """
        import tensorflow as tf

        sizes = tf.cast(characters.row_lengths(), tf.int32)
        ends = tf.fill([tf.size(sizes), 1], END)
        places = tf.concat([characters, ends], axis=1)
        symbols = places.flat_values
        starts = tf.cast(places.row_starts(), tf.int32)
        # Row n of `ids` holds the pieces of n + 1 characters by their place.
        ids = self._trie.all_matches(symbols)
        # What is no piece: in row 0 an unknown character, else nothing.
        unknown_score = tf.size(self._scores.tensor()) - 1
        scores = tf.gather(
            self._scores.tensor(), tf.where(ids < 0, unknown_score, ids)
        )
        nothing = (ids < 0) & (tf.range(tf.shape(ids)[0]) > 0)[:, tf.newaxis]
        scores = tf.where(nothing, tf.constant(-np.inf, tf.float64), scores)
        starts, sizes = tf.cond(
            tf.reduce_max(sizes) <= self._exact_length,
            lambda: _parts(ids, symbols),
            lambda: (starts, sizes),
        )
        lengths = _walk_back(
            _best_lengths(scores, starts, sizes), starts, sizes
        )
        taken = lengths > 0
        size = tf.size(symbols)
        indices = tf.maximum(lengths - 1, 0) * size + tf.range(size)
        chosen = tf.gather(tf.reshape(ids, [-1]), indices)
        chosen = tf.where(chosen < 0, self._unknown_id, chosen)
        taken = places.with_flat_values(taken)
        return (
            tf.ragged.boolean_mask(places.with_flat_values(chosen), taken),
            tf.ragged.boolean_mask(places, taken),
        )


def _exact_length(scores: np.ndarray) -> int:
    """Returns how many scores can be added without any rounding."""
    for bits in range(52):
        scaled = scores * 2.0**bits
        if np.all(scaled == np.round(scaled)):
            largest = max(1.0, float(np.abs(scaled).max()))
            return int(min(2.0**53 / largest, 2**31 - 1))
    return 0


def _parts(ids: tf.Tensor, symbols: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns where the parts begin that no piece leaves, and their sizes.

    Args:
        ids: The piece of each length that begins at each place.
        symbols: The characters at all places, `END` behind each word.
    """
    import tensorflow as tf

    num_lengths, num_places = tf.unstack(tf.shape(ids))
    numbers = tf.range(1, num_lengths + 1)[:, tf.newaxis]
    longest = tf.reduce_max(tf.where(ids >= 0, numbers, 1), axis=0)
    # A piece crosses every place between its first and the one behind it.
    places = tf.range(num_places)
    opened = tf.ones_like(places)
    closed = tf.math.unsorted_segment_sum(
        opened, places + longest, num_places + 1
    )
    crossed = tf.cumsum(opened, exclusive=True) - tf.cumsum(closed)[:-1]
    bounds = tf.cast(tf.where(crossed == 0)[:, 0], tf.int32)
    sizes = tf.concat([bounds[1:], [num_places]], 0) - bounds
    inside = tf.gather(symbols, bounds) != END
    return bounds[inside], sizes[inside]


def _best_lengths(
    scores: tf.Tensor, starts: tf.Tensor, sizes: tf.Tensor
) -> tf.Tensor:
    """Returns how long the last piece is of the best cut up to each place."""
    import tensorflow as tf

    num_lengths, num_places = tf.unstack(tf.shape(scores))
    flat = tf.reshape(scores, [-1])

    def go_on(step, starts, sizes, best, lengths):
        going = sizes >= step
        starts, sizes = starts[going], sizes[going]
        ends = starts + step
        # The longest first: of equal sums it is taken.
        tried = tf.range(tf.minimum(num_lengths, step), 0, -1)
        begins = ends[:, tf.newaxis] - tried
        sums = tf.gather(flat, begins + (tried - 1) * num_places)
        # Where a part begins, another may end: its sum is not ours.
        begun = begins > starts[:, tf.newaxis]
        zero = tf.constant(0, tf.float64)
        sums += tf.where(begun, tf.gather(best, begins), zero)
        places = ends[:, tf.newaxis]
        best = tf.tensor_scatter_nd_update(
            best, places, tf.reduce_max(sums, axis=1)
        )
        chosen = tf.gather(tried, tf.argmax(sums, axis=1))
        lengths = tf.tensor_scatter_nd_update(lengths, places, chosen)
        return step + 1, starts, sizes, best, lengths

    some = tf.TensorShape([None])
    state = tf.while_loop(
        lambda step, starts, sizes, *_: tf.reduce_any(sizes >= step),
        go_on,
        (
            tf.constant(1),
            starts,
            sizes,
            tf.zeros([num_places], tf.float64),
            tf.zeros([num_places], tf.int32),
        ),
        shape_invariants=(tf.TensorShape([]),) + (some,) * 4,
    )
    return state[4]


def _walk_back(
    lengths: tf.Tensor, starts: tf.Tensor, sizes: tf.Tensor
) -> tf.Tensor:
    """Returns the length of the piece that begins at each place, 0 for none.

    Args:
        lengths: The length of the last piece of the best cut up to each place.
        starts: Where each word begins.
        sizes: How many characters each word has.
    """
    import tensorflow as tf

    def go_on(places, starts, taken):
        going = places > starts
        places, starts = places[going], starts[going]
        steps = tf.gather(lengths, places)
        places -= steps
        taken = tf.tensor_scatter_nd_update(taken, places[:, tf.newaxis], steps)
        return places, starts, taken

    _, _, taken = tf.while_loop(
        lambda places, starts, taken: tf.reduce_any(places > starts),
        go_on,
        (starts + sizes, starts, tf.zeros_like(lengths)),
        shape_invariants=(tf.TensorShape([None]),) * 3,
    )
    return taken
