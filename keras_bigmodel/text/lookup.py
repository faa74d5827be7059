"""Lookup tables made of constants, for use inside a TensorFlow graph.

A hash table of TensorFlow's is a resource: it must be tracked and initialised,
and does not compile. These tables are constants which the graph captures, so
a SavedModel carries them by itself, once for all its functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


class GraphArray:
    """An array that becomes one TensorFlow constant, shared by all graphs.

    Args:
        array: numbers, or a list of `bytes`.
    """

    def __init__(self, array: np.ndarray | Sequence[bytes]):
        self.array = array
        self._tensor: tf.Tensor | None = None

    def tensor(self) -> tf.Tensor:
        """Return the constant."""
        import tensorflow as tf

        if self._tensor is None:
            # Made outside any function being traced: functions capture it,
            # and saving writes it once.
            with tf.init_scope(), tf.device("CPU:0"):
                self._tensor = tf.constant(self.array)
        return self._tensor


class IntegerTable:
    """Map integers to integers inside a graph.

    Args:
        keys: distinct integers.
        values: int32 values, one for each key.
        default: the value of every other key.
    """

    def __init__(self, keys: np.ndarray, values: np.ndarray, default: int = -1):
        keys = np.asarray(keys, np.int64).reshape(-1)
        values = np.asarray(values, np.int32).reshape(-1)
        order = np.argsort(keys)
        # The last key is larger than any, so that a search ends inside.
        largest = np.array([np.iinfo(np.int64).max])
        self._keys = GraphArray(np.concatenate([keys[order], largest]))
        self._values = GraphArray(np.append(values[order], np.int32(default)))
        self._default = default

    def __call__(self, keys: tf.Tensor) -> tf.Tensor:
        """Return the int32 values of a vector of int64 keys."""
        import tensorflow as tf

        known = self._keys.tensor()
        places = tf.searchsorted(known, keys)
        values = tf.gather(self._values.tensor(), places)
        return tf.where(tf.gather(known, places) == keys, values, self._default)


class StringTable:
    """Map strings to integers inside a graph, exactly.

    Strings are found by a 64-bit fingerprint and then compared.

    Args:
        strings: distinct strings, as bytes.
        values: int32 values, one for each string.
        default: the value of every other string.
    """

    def __init__(
        self, strings: Sequence[bytes], values: np.ndarray, default: int = -1
    ):
        # One more string, so that an empty table has an entry to compare.
        self._strings = GraphArray([*strings, b""])
        self._values = GraphArray(np.append(values, default).astype(np.int32))
        self._default = default
        self._places: IntegerTable | None = None

    def __call__(self, strings: tf.Tensor) -> tf.Tensor:
        """Return the int32 values of a vector of strings."""
        import tensorflow as tf

        if self._places is None:
            with tf.init_scope():
                known = _fingerprints(self._strings.tensor()[:-1]).numpy()
            self._places = IntegerTable(known, np.arange(len(known)))
        places = self._places(_fingerprints(strings))
        places = tf.where(
            places < 0, tf.size(self._strings.tensor()) - 1, places
        )
        values = tf.gather(self._values.tensor(), places)
        same = tf.gather(self._strings.tensor(), places) == strings
        return tf.where(same, values, self._default)


def _fingerprints(strings: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.strings.to_hash_bucket_fast(strings, 2**63 - 1)
