"""Writes into a cache where it lies, as TensorFlow's own scatter does not."""

import tensorflow as tf

# Unsigned ones, for GPUs have no such scatter of int32.
_INTEGERS = {2: tf.uint16, 4: tf.uint32, 8: tf.uint64}


def scatter_in_place(
    cache: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor
) -> tf.Tensor:
    """Returns the cache with some rows replaced, without a copy if it can.

    `tf.tensor_scatter_nd_update` copies its whole input, at every step all
    keys and values there are. `ScatterNdNonAliasingAdd` takes over a buffer
    that nobody else holds. It adds: so the cache's bits are read as integers,
    and get the difference, which makes the sum exact. XLA does not know the
    operation, and needs it not.

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
