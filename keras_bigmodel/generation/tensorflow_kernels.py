"""Steps of a generation in the operations that TensorFlow does best.

They are for graphs that run as they are: XLA has no kernel for the first, and
is faster without the second.
"""

import functools

import tensorflow as tf

from keras_bigmodel.layers.decoding import Kernels

# Unsigned ones, for GPUs have no such scatter of int32.
_INTEGERS = {2: tf.uint16, 4: tf.uint32, 8: tf.uint64}
# Into how many parts a table is cut, from which size of the parts on, and for
# how many rows: one or two gain nothing, and a long prompt is better off whole.
_PARTS, _LEAST_PART, _LEAST_ROWS, _MOST_ROWS = 16, 256, 4, 64


class TensorFlowKernels(Kernels):
    """The operations of `Kernels`, for TensorFlow's own executor."""

    def scatter(
        self, cache: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor
    ) -> tf.Tensor:
        """Returns a cache with some rows replaced, without a copy if it can.

        `tf.tensor_scatter_nd_update` copies its whole input, at every step all
        keys and values there are. `ScatterNdNonAliasingAdd` takes over a
        buffer that nobody else holds. It adds: so the cache's bits are read as
        integers, and get the difference, which makes the sum exact.

        Args:
            cache: Floats, (B, K, slots, D).
            indices: Which rows, int32 (rows, 3), no row twice.
            updates: The new rows, (rows, D).
        """
        integer = _INTEGERS[cache.dtype.size]
        old = tf.bitcast(tf.gather_nd(cache, indices), integer)
        bits = tf.raw_ops.ScatterNdNonAliasingAdd(
            input=tf.bitcast(cache, integer),
            indices=indices,
            updates=tf.bitcast(updates, integer) - old,
        )
        return tf.bitcast(bits, cache.dtype)

    def score(self, hidden: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
        """Returns hidden states times a table of tokens, (rows, V).

        oneDNN repacks a matrix that has to be transposed before it meets
        several rows, and the cores wait for memory. Parts of a large table, as
        a batch of products, are repacked inside the processor's caches: eight
        rows take half the time.

        Args:
            hidden: (rows, D).
            table: (V, D).
        """
        size, rows = table.shape[0] // _PARTS, tf.shape(hidden)[0]
        whole = functools.partial(super().score, hidden, table)
        if size < _LEAST_PART:
            return whole()
        return tf.cond(
            tf.logical_and(rows >= _LEAST_ROWS, rows <= _MOST_ROWS),
            lambda: _score_by_parts(hidden, table, size),
            whole,
        )


def _score_by_parts(
    hidden: tf.Tensor, table: tf.Tensor, size: int
) -> tf.Tensor:
    rows, width = tf.shape(hidden)[0], table.shape[1]
    whole = size * _PARTS
    found = tf.matmul(
        tf.broadcast_to(hidden, (_PARTS, rows, width)),
        tf.reshape(table[:whole], (_PARTS, size, width)),
        transpose_b=True,
    )
    found = tf.reshape(tf.transpose(found, (1, 0, 2)), (rows, whole))
    if whole == table.shape[0]:
        return found
    rest = tf.matmul(hidden, table[whole:], transpose_b=True)
    return tf.concat([found, rest], axis=1)
