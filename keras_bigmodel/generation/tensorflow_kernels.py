"""Steps of a generation in the operations that TensorFlow does best.

They are for graphs that run as they are: XLA has no kernel for some, and is
faster without the others.
"""

import functools
from collections.abc import Callable

import keras
import tensorflow as tf

from keras_bigmodel.generation.tensorflow_packing import (
    LEAST_ROWS,
    packed_product,
)
from keras_bigmodel.layers import activations
from keras_bigmodel.layers.decoding import Kernels, shared
from keras_bigmodel.layers.token_embedding import TokenEmbedding

# Unsigned ones, for GPUs have no such scatter of int32.
_INTEGERS = {2: tf.uint16, 4: tf.uint32, 8: tf.uint64}
# Into how many parts a table is cut, from which size of the parts on, and for
# how many rows: one or two gain nothing, and a long prompt is better off whole.
_PARTS, _LEAST_PART, _LEAST_ROWS, _MOST_ROWS = 16, 256, 4, 64
# What a packed product can apply to its result.
_FUSED = {
    activations.gelu: "GeluExact",
    activations.gelu_tanh: "GeluApproximate",
    activations.ACTIVATIONS["relu"]: "Relu",
}


class TensorFlowKernels(Kernels):
    """The operations of `Kernels`, for TensorFlow's own executor.

    Args:
        pack_weights: Whether steps run on copies of the weights, packed when
            the graph first runs, on x86-64 CPUs.
    """

    def __init__(self, pack_weights: bool = False) -> None:
        self._packs = pack_weights

    def for_prompts(self) -> Kernels:
        """Returns kernels without packed weights: many rows do not gain."""
        return TensorFlowKernels()

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

    def fold(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the rows of x, (B, T, D), and zeros if they are too few."""
        rows = super().fold(x)
        if not self._packs:
            return rows

        def padding() -> tf.Tensor:
            missing = tf.maximum(LEAST_ROWS - _num_rows(x), 0)
            return tf.scatter_nd([[0, 1]], missing[None], [2, 2])

        return tf.pad(rows, _once("padding", x, padding))

    def unfold(self, rows: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Returns the rows without those that `fold` added."""
        if not self._packs:
            return rows
        size = _once("size", x, lambda: tf.stack([_num_rows(x), -1]))
        kept = tf.slice(rows, [0, 0], size)
        kept.set_shape([None, rows.shape[1]])
        return kept

    def project(
        self,
        layer: keras.layers.Dense,
        x: tf.Tensor,
        activation: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Returns what a Dense layer gives, by packed weights if it may.

        Args:
            layer: The layer.
            x: (rows, inputs).
            activation: Applied to it; None: nothing.
        """
        if not (self._packs and _is_plain(layer) and x.dtype == tf.float32):
            return super().project(layer, x, activation)
        fused = _FUSED.get(activation)
        y = packed_product(x, layer.kernel, layer.bias, activation=fused)
        return y if activation is None or fused else activation(y)

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
        if self._packs and table.dtype == tf.float32:
            return packed_product(hidden, table, transpose=True)
        size, rows = table.shape[0] // _PARTS, tf.shape(hidden)[0]
        whole = functools.partial(super().score, hidden, table)
        if size < _LEAST_PART:
            return whole()
        return tf.cond(
            tf.logical_and(rows >= _LEAST_ROWS, rows <= _MOST_ROWS),
            lambda: _score_by_parts(hidden, table, size),
            whole,
        )


def packable_weights(model: keras.Model) -> list[tf.Variable]:
    """Returns the weights of a model that steps would read packed.

    Args:
        model: A built model.
    """
    found = []
    for layer in model._flatten_layers():
        if layer.compute_dtype != "float32":
            continue
        if isinstance(layer, keras.layers.Dense) and _is_plain(layer):
            found.append(layer.kernel.value)
        elif isinstance(layer, TokenEmbedding) and "products" not in vars(
            layer
        ):
            found.append(layer.embeddings.value)
    return found


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


def _num_rows(x: tf.Tensor) -> tf.Tensor:
    """Returns B * T of x, (B, T, D)."""
    return _once("rows", x, lambda: tf.reduce_prod(tf.shape(x)[:2]))


def _once(
    name: str, x: tf.Tensor, compute: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """Computes once a step what depends on the shape of x, (B, T, D).

    Within a step, sequences of the same known length have as many rows.
    """
    if x.shape[1] is None:
        return compute()
    return shared((name, x.shape[1]), compute)


def _is_plain(layer: keras.layers.Dense) -> bool:
    """Tells whether a layer is a product with its kernel and nothing else."""
    changed = layer.lora_enabled or layer.quantization_mode is not None
    changed = changed or layer.activation is not keras.activations.linear
    # Weights of 8 bits replace the method of the single layer.
    return not changed and "call" not in vars(layer)
