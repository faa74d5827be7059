"""Normalisations, and matrices that take over what these are times and plus.

A normalisation ends with a factor and an offset for each feature. A matrix
that reads it may have them in its own numbers: (x g + b) W = x (g W) + b W.
"""

import keras
import tensorflow as tf

from keras_bigmodel.generation.tensorflow_parts import read
from keras_bigmodel.layers.rms_normalization import RMSNormalization

# What normalised features are times and plus, by the attributes of layers.
_SCALING = {
    keras.layers.LayerNormalization: ("gamma", "beta"),
    keras.layers.RMSNormalization: ("scale", None),
    RMSNormalization: ("scale", None),
}


def normalizes_features(layer: keras.layers.Layer) -> bool:
    """Tells whether `centered` is for a layer: of the last axis of a sequence.

    Args:
        layer: A built layer.
    """
    if type(layer) not in _SCALING:
        return False
    axes = layer.axis if isinstance(layer.axis, list) else [layer.axis]
    return axes in ([-1], [2])


def centered(
    layer: keras.layers.Layer, x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns x less its mean, if that is taken off, and what it is times.

    Args:
        layer: A normalisation of features.
        x: (..., features).
    """
    if isinstance(layer, keras.layers.LayerNormalization):
        x = x - tf.reduce_mean(x, -1, keepdims=True)
    mean_square = tf.reduce_mean(x * x, -1, keepdims=True)
    return x, tf.math.rsqrt(mean_square + layer.epsilon)


def normalized(
    layer: keras.layers.Layer, x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Returns what a normalisation gives, in fewer operations than its own.

    Args:
        layer: The layer.
        x: (batch, sequence, features).

    Returns:
        What it gives, and what that was before it was scaled; None where the
        layer itself computes it.
    """
    known = normalizes_features(layer) and "call" not in vars(layer)
    if not known or x.dtype != tf.float32:
        return layer(x), None
    x, normal = centered(layer, x)
    y = unscaled = x * normal
    factor, offset = scaling(layer)
    if factor is not None:
        y = y * read(factor)
    if offset is not None:
        y = y + read(offset)
    return y, unscaled


def scaling(
    layer: keras.layers.Layer,
) -> tuple[keras.Variable | None, keras.Variable | None]:
    """Returns what normalised features are times and plus; None: nothing.

    Args:
        layer: A normalisation of features.
    """
    factor, offset = (
        name and getattr(layer, name, None) for name in _SCALING[type(layer)]
    )
    return factor, offset


def weights_behind(
    layer: keras.layers.Dense, normalization: keras.layers.Layer | None
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Returns a kernel, (inputs, outputs), and biases, if there are some.

    Args:
        layer: A built layer.
        normalization: Whose scaling they do too; None: nobody's.
    """
    factor = offset = None
    if normalization is not None:
        factor, offset = scaling(normalization)
    kernel, bias, factor, offset = (
        None if weight is None else tf.convert_to_tensor(weight)
        for weight in (
            layer.kernel,
            layer.bias if layer.use_bias else None,
            factor,
            offset,
        )
    )
    if offset is not None:
        added = tf.linalg.matvec(kernel, offset, transpose_a=True)
        bias = added if bias is None else bias + added
    if factor is not None:
        kernel = factor[:, None] * kernel
    return kernel, bias
