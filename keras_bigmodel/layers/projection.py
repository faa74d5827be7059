"""Applies Keras Dense layers to sequences as plain matrix products."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_bigmodel.layers.decoding import current_kernels, sizes

Tensor = Any


def project(
    layer: Callable[[Tensor], Tensor],
    x: Tensor,
    features: tuple[int, ...] = (-1,),
) -> Tensor:
    """Returns what `layer` gives for the last axis of x.

    For three axes Keras's matrix product on TensorFlow works out its shapes
    anew inside the graph, several small operations each time. Folding batch
    and sequence into one first leaves a single product, which counts where a
    step is one token.

    Args:
        layer: A layer, or a function of several, that maps (rows, features)
            to (rows, units).
        x: (batch, sequence, features), or of another rank.
        features: The shape to give to the units, for example (heads,
            head_dim).

    Returns:
        (batch, sequence, *features).
    """
    if len(x.shape) != 3:
        return layer(x)
    kernels = current_kernels()
    flat = kernels.unfold(apply(layer, kernels.fold(x)), x)
    if features == (-1,):
        features = (flat.shape[-1],)
    length = x.shape[1]
    if length is None:
        return ops.reshape(flat, (*sizes(x), *features))
    batch = -1 if x.shape[0] is None and length else ops.shape(x)[0]
    return ops.reshape(flat, (batch, length, *features))


def apply(
    layer: Callable[[Tensor], Tensor],
    x: Tensor,
    activation: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Returns what `layer` gives for rows, (rows, units).

    Args:
        layer: A Dense layer, which the decoding scope may have its own way to
            compute, or a function.
        x: (rows, features).
        activation: Applied to it, of `layers.activations`; None: nothing.
    """
    if isinstance(layer, keras.layers.Dense):
        return current_kernels().project(layer, x, activation)
    y = layer(x)
    return y if activation is None else activation(y)
