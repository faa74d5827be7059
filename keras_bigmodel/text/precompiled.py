"""SentencePiece's precompiled normalization, inside a TensorFlow graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_bigmodel.text.character_map import NUM_CODES, CharacterMap
from keras_bigmodel.text.charsmap import LONGEST_KEY, read_charsmap
from keras_bigmodel.text.graphemes import joined
from keras_bigmodel.text.trie import Trie

if TYPE_CHECKING:
    import tensorflow as tf

_GONE = NUM_CODES


class Precompiled:
    """Replaces characters as the `tokenizers` library does with such a map.

    The library goes from cluster to cluster of characters. Of one with fewer
    than six bytes it looks up the shortest beginning that the map knows, and
    what follows in the cluster is lost. Where the map knows none, and in
    longer clusters, it looks up single characters.

    Args:
        content: The map, as the files hold it.

    Raises:
        ValueError: where it is damaged.
    """

    def __init__(self, content: bytes):
        found = {key: text for key, text in read_charsmap(content).items()}
        # The library stops looking at a null.
        found = {key: text for key, text in found.items() if "\0" not in key}
        several = sorted(key for key in found if len(key) > 1)
        # What several characters become is kept under a number above theirs.
        numbers = {key: _GONE + 1 + i for i, key in enumerate(several)}
        self._several = Trie(
            [[ord(c) for c in key] for key in several], list(numbers.values())
        )
        self._map = CharacterMap(
            {
                _GONE: [],
                **{
                    numbers.get(key) or ord(key): [ord(c) for c in text]
                    for key, text in found.items()
                },
            }
        )

    def __call__(self, texts: tf.Tensor) -> tf.Tensor:
        """Returns the strings, normalized."""
        import tensorflow as tf

        characters = tf.strings.unicode_decode(texts, "UTF-8")
        codes = tf.cond(
            tf.size(characters.flat_values) > 0,
            lambda: self._look_up_clusters(characters),
            lambda: characters.flat_values,
        )
        characters = self._map(characters.with_flat_values(codes))
        return tf.strings.unicode_encode(characters, "UTF-8")

    def _look_up_clusters(self, characters: tf.RaggedTensor) -> tf.Tensor:
        """Returns the code points with short clusters replaced by numbers."""
        import tensorflow as tf

        codes = characters.flat_values
        heads = ~joined(characters)
        clusters = tf.RaggedTensor.from_row_starts(
            codes, tf.where(heads)[:, 0], validate=False
        )
        num_bytes = clusters.with_flat_values(
            sum(tf.cast(codes >= least, tf.int32) for least in _BYTES)
        )
        short = (tf.reduce_sum(num_bytes, axis=1) <= LONGEST_KEY) & (
            clusters.row_lengths() > 1
        )
        cluster_ids = clusters.value_rowids()
        short = tf.gather(short, cluster_ids)
        number = self._number(codes, cluster_ids)
        number = tf.where(heads & short, number, -1)
        replaced = tf.gather(tf.boolean_mask(number, heads) >= 0, cluster_ids)
        rest = tf.where(replaced, _GONE, codes)
        return tf.where(number >= 0, number, rest)

    def _number(self, codes: tf.Tensor, cluster_ids: tf.Tensor) -> tf.Tensor:
        """Returns which beginning is known of the cluster from each place."""
        import tensorflow as tf

        number = tf.where(self._map.changes(codes), codes, -1)
        nodes = self._several.step(tf.zeros_like(codes), codes)
        for step in (1, 2):
            # No more than three characters make a cluster of five bytes.
            later = tf.concat([codes[step:], tf.fill([step], _GONE)], 0)
            later = later[: tf.size(codes)]
            same = tf.concat([cluster_ids[step:], [-1] * step], 0)
            same = same[: tf.size(codes)] == cluster_ids
            nodes = self._several.step(nodes, tf.where(same, later, _GONE))
            found = tf.where(
                nodes >= 0, self._several.value(tf.maximum(nodes, 0)), -1
            )
            number = tf.where(number < 0, found, number)
        return number


# From which code points on UTF-8 takes one more byte.
_BYTES = (0, 0x80, 0x800, 0x10000)
