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


# A key's hash is the upper half of its product with an odd factor.
_SHIFT = 32
_MASK = 2**32 - 1


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

    Every key has two places where it can lie (cuckoo hashing), so that a
    lookup is a few gathers, however large the table.

    Args:
        keys: distinct integers, none negative.
        values: int32 values, one for each key.
        default: the value of every other key.
    """

    def __init__(self, keys: np.ndarray, values: np.ndarray, default: int = -1):
        keys = np.asarray(keys, np.int64).reshape(-1)
        values = np.asarray(values, np.int32).reshape(-1)
        if len(np.unique(keys)) != len(keys):
            raise ValueError(
                "The keys of a table must differ. Received: "
                f"{len(keys)} keys, {len(np.unique(keys))} of them different"
            )
        self._size = 2 * len(keys) + len(keys) // 2 + 2
        self._factors, slots = _cuckoo(keys, self._size)
        slot_keys = np.full(self._size, -1, np.int64)
        slot_values = np.full(self._size, default, np.int32)
        slot_keys[slots] = keys
        slot_values[slots] = values
        self._keys = GraphArray(slot_keys)
        self._values = GraphArray(slot_values)
        self._default = default

    def __call__(self, keys: tf.Tensor) -> tf.Tensor:
        """Return the int32 values of a tensor of int64 keys."""
        import tensorflow as tf

        known = self._keys.tensor()
        first, second = (
            tf.bitwise.right_shift(
                tf.bitwise.bitwise_and(
                    tf.bitwise.right_shift(keys * factor, _SHIFT), _MASK
                )
                * self._size,
                _SHIFT,
            )
            for factor in self._factors
        )
        places = tf.where(tf.gather(known, first) == keys, first, second)
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


def _cuckoo(keys: np.ndarray, size: int) -> tuple[list[int], np.ndarray]:
    """Return two factors and the slot of each key, all slots distinct."""
    random = np.random.default_rng(0)
    slots = None
    # Few tables in a thousand need a second pair of factors.
    while slots is None:
        factors = random.integers(2**61, 2**62, 2) * 2 + 1
        hashes = (keys[:, None] * factors) >> _SHIFT & _MASK
        slots = _place(hashes * size >> _SHIFT, size)
    return factors.tolist(), slots


def _place(choices: np.ndarray, size: int) -> np.ndarray | None:
    """Let keys push each other to their other slot until all have one."""
    owner = np.full(size, -1)
    side = np.zeros(len(choices), np.int64)
    homeless = np.arange(len(choices))
    for _ in range(500):
        if not len(homeless):
            return choices[np.arange(len(choices)), side]
        slots = choices[homeless, side[homeless]]
        pushed = np.unique(owner[slots])
        owner[slots] = homeless
        lost = homeless[owner[slots] != homeless]
        homeless = np.concatenate([lost, pushed[pushed >= 0]])
        side[homeless] ^= 1
    return None
