"""Has the layers of a model compute with 8-bit integers."""

import collections
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bigmodel.export import eight_bit
from keras_bigmodel.generation.tensorflow_normalization import (
    centered,
    normalizes_features,
    weights_behind,
)
from keras_bigmodel.generation.tensorflow_parts import (
    pieces_of,
    rows_of,
    sequence_of,
)
from keras_bigmodel.layers.attention import CrossAttention, SelfAttention
from keras_bigmodel.layers.block import TransformerBlock
from keras_bigmodel.layers.feed_forward import FeedForward
from keras_bigmodel.layers.token_embedding import TokenEmbedding

# Bytes of a matrix that two cores, a half each, multiply sooner than all cores
# together: waking them takes as long as reading a megabyte. Smaller ones gain
# nothing, and what is done with halves counts little for larger ones.
_LEAST_PARTED, _MOST_PARTED = 2**18, 2**23


def use_eight_bits(model: keras.Model) -> int:
    """Has a model's Dense layers and token tables run on 8-bit integers.

    Other weights, such as those of convolutions, recurrent layers and experts,
    stay as they are. The factors and offsets of normalisations go into the
    matrices that alone read what they give; with the factors this is the "Gamma
    Migration" of Wei et al. 2022, section 4, https://arxiv.org/abs/2209.13325.

    Args:
        model: A model. It is changed, can be called but not trained or saved.

    Returns:
        How many of its parameters have 8 bits now.
    """
    layers = model._flatten_layers()
    normalizations = _take_over_normalizations(layers)

    def values_of(layer: keras.layers.Dense) -> tuple[np.ndarray, Any]:
        normalization = normalizations.get(id(layer))
        kernel, bias = weights_behind(layer, normalization)
        return kernel.numpy().T, None if bias is None else bias.numpy()

    matrices = []
    joined = set()
    for layer in layers:
        if isinstance(layer, SelfAttention):
            projections = (
                layer.key_projection,
                layer.query_projection,
                layer.value_projection,
            )
            matrices.append(_heads_matrix(*map(values_of, projections)))
            layer.project_heads = functools.partial(
                _project_heads, layer, matrices[-1]
            )
            joined.update(map(id, projections))
    for layer in layers:
        if isinstance(layer, keras.layers.Dense) and id(layer) not in joined:
            values, bias = values_of(layer)
            outputs, inputs = values.shape
            matrices.append(_matrix_of(values, bias, inputs > outputs))
            layer.products = functools.partial(_dense, layer, matrices[-1])
            layer.call = functools.partial(_call, layer)
        elif isinstance(layer, TokenEmbedding):
            matrices.append(eight_bit.EightBitMatrix(layer.embeddings))
            layer.rows = matrices[-1].rows
            layer.products = matrices[-1].products
    return sum(matrix.num_parameters for matrix in matrices)


def _take_over_normalizations(
    layers: list[keras.layers.Layer],
) -> dict[int, keras.layers.Layer]:
    """Has normalisations leave their factors to all that read what they give.

    Args:
        layers: All layers of a model, and the model.

    Returns:
        The normalisations by the ids of the Dense layers that read them.
    """
    uses = collections.Counter(
        id(part) for layer in layers for part in layer._layers
    )
    blocks = [layer for layer in layers if isinstance(layer, TransformerBlock)]
    found = {}
    for normalization, part, readers in itertools.chain(
        *map(_branches, blocks)
    ):
        if uses[id(part)] == 1 and normalizes_features(normalization):
            normalization.call = functools.partial(_normalized, normalization)
            found.update((id(reader), normalization) for reader in readers)
    return found


def _branches(
    block: TransformerBlock,
) -> Iterator[
    tuple[keras.layers.Layer, keras.layers.Layer, list[keras.layers.Dense]]
]:
    """Yields normalisations, the parts that read them, and what these read by.

    Only where nothing else reads what a normalisation gives.
    """
    if not block.normalize_first:
        return
    attention = block.self_attention
    if type(attention) is SelfAttention:
        projections = [
            attention.key_projection,
            attention.query_projection,
            attention.value_projection,
        ]
        yield block.self_attention_normalization, attention, projections
    attention = block.cross_attention
    if type(attention) is CrossAttention:
        projections = [attention.query_projection]
        yield block.cross_attention_normalization, attention, projections
    network = block.feed_forward
    if type(network) is FeedForward:
        gate = [network.gate] if network.gated else []
        yield block.feed_forward_normalization, network, [*gate, network.up]


def _normalized(layer: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
    """Computes what a normalisation does, less its factors and offsets.

    The 8-bit integers of a row do not depend on what all of it is divided by,
    and are found beside it.
    """
    rows, factor = centered(layer, rows_of(x))
    normal = rows * factor
    integers, largest = eight_bit.quantize_rows(rows)
    eight_bit.remember_integers(normal, integers, largest * factor)
    return sequence_of(normal, x)


def _matrix_of(
    values: np.ndarray, bias: np.ndarray | None, cuts_inputs: bool
) -> eight_bit.EightBitMatrix:
    """Returns a matrix, in parts if that is sooner multiplied."""
    fits = _LEAST_PARTED <= values.size <= _MOST_PARTED
    even = values.shape[int(cuts_inputs)] % 2 == 0
    parts = 2 if fits and even else 1
    return eight_bit.EightBitMatrix(values, bias, parts, cuts_inputs)


def _heads_matrix(
    *projections: tuple[np.ndarray, np.ndarray | None],
) -> eight_bit.EightBitMatrix:
    """Returns one matrix for keys, queries, values and queries.

    A core has keys or values, and half of the queries.

    Args:
        *projections: The values and the biases of keys, queries and values.
    """
    values, biases = zip(*projections, strict=True)
    bias = None
    if any(bias is not None for bias in biases):
        biases = [
            np.zeros(len(rows)) if bias is None else bias
            for rows, bias in zip(values, biases, strict=True)
        ]
        bias = np.concatenate(_halved(*biases))
    # Parts of the outputs, for they are where the heads are told apart.
    values = np.concatenate(_halved(*values))
    return _matrix_of(values, bias, cuts_inputs=False)


def _halved(key: Any, query: Any, value: Any) -> tuple[Any, ...]:
    half = len(query) // 2
    return key, query[:half], value, query[half:]


def _project_heads(
    layer: SelfAttention, matrix: eight_bit.EightBitMatrix, x: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """Computes what `SelfAttention.project_heads` does."""
    length = x.shape[1]
    y = matrix.products(rows_of(x))
    count = matrix.num_parts
    heads, others = layer.num_heads, layer.num_key_value_heads
    dim = y.shape[1] // (heads + 2 * others)
    half = heads * dim // 2
    sizes = [others * dim, half, others * dim, heads * dim - half]
    columns = []
    for piece, part in zip(
        pieces_of(y, count), np.split(np.array(sizes), count), strict=True
    ):
        columns.extend(tf.split(piece, part, axis=1))
    key, first, value, second = columns
    shape = [-1, 1] if length == 1 else tf.unstack(tf.shape(x)[:2])
    return tuple(
        tf.reshape(rows, [*shape, number, dim])
        for rows, number in (
            (tf.concat([first, second], axis=1), heads),
            (key, others),
            (value, others),
        )
    )


def _dense(
    layer: keras.layers.Dense,
    matrix: eight_bit.EightBitMatrix,
    x: tf.Tensor,
    activation: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tf.Tensor:
    """Computes what `keras.layers.Dense` does, and an activation after it."""
    linear = layer.activation is keras.activations.linear
    own = None if linear else layer.activation
    if own is None or activation is None:
        return matrix.products(x, own or activation)
    return matrix.products(x, lambda y: activation(own(y)))


def _call(
    layer: keras.layers.Dense, inputs: tf.Tensor, training: bool | None = None
) -> tf.Tensor:
    return layer.products(inputs)
