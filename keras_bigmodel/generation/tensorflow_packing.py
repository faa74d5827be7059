"""Matrix products with weights that lie as an x86-64 CPU reads them.

oneDNN, which is in TensorFlow's builds for x86-64, multiplies a few rows by a
matrix much faster if it may first copy the matrix into blocks of its own. It
keeps the copy, so that this is for weights that do not change. The op has no
Python function of its own and is put into graphs by its name.
"""

from collections.abc import Callable, Sequence
from functools import partial

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.python.framework import kernels

from keras_bigmodel.generation.tensorflow_normalization import (
    normalizes_features,
    scaling,
    weights_behind,
)
from keras_bigmodel.generation.tensorflow_parts import (
    ALIGNMENT,
    Lanes,
    beside_products,
    pieces_of,
    put_together,
    read,
    side_by_side,
)
from keras_bigmodel.layers import activations
from keras_bigmodel.layers.decoding import shared
from keras_bigmodel.layers.token_embedding import TokenEmbedding

KERNEL = "_MklNativeFusedMatMul"
# What the kernel does with a product before it is written.
_FUSED = {
    activations.gelu: b"GeluExact",
    activations.gelu_tanh: b"GeluApproximate",
    keras.ops.relu: b"Relu",
}


def is_available() -> bool:
    """Tells whether TensorFlow has the kernel, and runs on a CPU alone."""
    registered = kernels.get_registered_kernels_for_op(KERNEL).kernel
    return bool(registered) and not tf.config.list_physical_devices("GPU")


def packed_product(
    x: tf.Tensor,
    weights: tf.Tensor,
    bias: tf.Tensor | None = None,
    activation: Callable[[tf.Tensor], tf.Tensor] | None = None,
    transpose: bool = False,
) -> tf.Tensor:
    """Returns f(x W + b), W as it was when the graph first ran.

    Args:
        x: float32, (rows, inputs), always fewer than `BLOCK_ROWS` or never:
            otherwise W would be packed anew at each change.
        weights: W, float32, (inputs, outputs).
        bias: b, float32, (outputs,); None: zeros.
        activation: f, of each number by itself; None: nothing.
        transpose: Whether `weights` is W^T.
    """
    fused = [b"BiasAdd"]  # There is no such product without a bias.
    if activation in _FUSED:
        fused.append(_FUSED[activation])
        activation = None
    weights = tf.convert_to_tensor(weights)
    outputs = weights.shape[0 if transpose else 1]
    attributes = {
        "T": AttrValue(type=tf.float32.as_datatype_enum),
        "transpose_a": AttrValue(b=False),
        "transpose_b": AttrValue(b=transpose),
        "num_args": AttrValue(i=1),
        "fused_ops": AttrValue(list=AttrValue.ListValue(s=fused)),
        "is_filter_const": AttrValue(b=True),
        "_kernel": AttrValue(s=b"MklNameChangeOp"),
    }
    graph = tf.compat.v1.get_default_graph()
    if bias is None:
        key = "zeros", outputs, id(graph)
        bias = shared(key, lambda: tf.zeros([outputs]))
    inputs = [x, weights, bias]
    made = graph.create_op(KERNEL, inputs, attrs=attributes, name="product")
    (y,) = made.outputs
    y.set_shape([x.shape[0], outputs])
    return y if activation is None else activation(y)


def packed_projection(
    layer: keras.layers.Dense,
    x: tf.Tensor,
    activation: Callable[[tf.Tensor], tf.Tensor] | None,
    parts: int,
    lanes: Lanes,
) -> tf.Tensor:
    """Returns what a Dense layer gives, its weights packed in parts.

    They are parts of its inputs, which lie together.

    Args:
        layer: The layer.
        x: (rows, inputs).
        activation: Applied to it; None: nothing.
        parts: Into how many its kernel is cut.
        lanes: In which the products follow one another.
    """
    kernel = read(layer.kernel)
    bias = read(layer.bias) if layer.use_bias else None
    if parts == 1:
        return packed_product(x, kernel, bias, activation)
    makes = [
        partial(packed_product, *part)
        for part in zip(
            pieces_of(x, parts),
            tf.split(kernel, parts),
            [bias] + [None] * (parts - 1),
            strict=True,
        )
    ]
    y = tf.add_n(side_by_side(makes, lanes))
    return y if activation is None else activation(y)


def held_projection(
    layer: keras.layers.Dense,
    x: tf.Tensor,
    activation: Callable[[tf.Tensor], tf.Tensor] | None,
    parts: int,
    lanes: Lanes,
    normalization: keras.layers.Layer | None = None,
) -> tf.Tensor:
    """Returns what a Dense layer gives, by blocks that stay with the graph.

    A core that multiplies several rows by a long and narrow block writes less
    than by a wide one, and what it makes is done: an activation follows at
    once, and so do blocks of the next layer, so that the cores meet once in a
    feed-forward network. Blocks do not lie together in a kernel, and are
    copied when the graph is made. What a normalisation is times and plus at
    its end goes into the copies.

    Args:
        layer: The layer, which `has_blocks`.
        x: (rows, inputs).
        activation: Applied to it; None: nothing.
        parts: How many blocks.
        lanes: In which the products follow one another.
        normalization: What x comes from, less its scaling; None: nothing.
    """
    groups, count = _cuts(layer, parts)
    with tf.init_scope():
        kernel, bias = weights_behind(layer, normalization)
        blocks = kernel.reshape(groups, len(kernel) // groups, count, -1)
        blocks = blocks.transpose(0, 2, 1, 3)
        held = tf.constant(blocks.reshape(parts, *blocks.shape[2:]))
    biases = [None] * parts
    with beside_products():
        blocks = tf.unstack(held)
        if bias is not None:
            biases[:count] = map(tf.constant, np.split(bias, count))
    pieces = [piece for piece in pieces_of(x, groups) for _ in range(count)]
    makes = [
        partial(packed_product, *part, activation if groups == 1 else None)
        for part in zip(pieces, blocks, biases, strict=True)
    ]
    products = side_by_side(makes, lanes)
    if groups == 1:
        return put_together(products)
    y = put_together([tf.add_n(products[i::count]) for i in range(count)])
    return y if activation is None else activation(y)


def has_blocks(layer: keras.layers.Dense, parts: int) -> bool:
    """Tells whether a kernel can be cut into so many blocks.

    Args:
        layer: A built layer.
        parts: How many blocks.
    """
    inputs, outputs = layer.kernel.shape
    groups, count = _cuts(layer, parts)
    if parts == 1 or inputs % groups or outputs % count:
        return False
    # Otherwise each step would copy them.
    return inputs * outputs // parts * tf.float32.size % ALIGNMENT == 0


def _cuts(layer: keras.layers.Dense, parts: int) -> tuple[int, int]:
    """Returns into how many parts inputs and outputs are cut."""
    inputs, outputs = layer.kernel.shape
    groups = 1
    while inputs > groups * outputs and parts % (2 * groups) == 0:
        groups *= 2
    return groups, parts // groups


def is_plain(layer: keras.layers.Dense) -> bool:
    """Tells whether a layer is a product with its kernel and nothing else."""
    changed = layer.lora_enabled or layer.quantization_mode is not None
    changed = changed or layer.activation is not keras.activations.linear
    # Weights of 8 bits replace what the single layer does.
    return not changed and "products" not in vars(layer)


def packable_weights(model: keras.Model) -> list[tf.Variable]:
    """Returns the weights of a model that steps would read as copies.

    Args:
        model: A built model.
    """
    layers = model._flatten_layers()
    if any("products" in vars(layer) for layer in layers):
        return []  # Its weights have 8 bits.
    found = []
    for layer in layers:
        if layer.compute_dtype != "float32":
            continue
        if isinstance(layer, keras.layers.Dense) and is_plain(layer):
            found += [layer.kernel, layer.bias]
        elif isinstance(layer, TokenEmbedding):
            found.append(layer.embeddings)
        elif normalizes_features(layer):
            found += scaling(layer)
    return [weight.value for weight in found if weight is not None]


def hold(variables: Sequence[tf.Variable]) -> list[tf.Tensor]:
    """Returns the values of variables, which are not copied.

    TensorFlow writes into a variable's memory as long as nobody else holds it:
    a variable that is changed gets new memory for the time being.
    """
    for variable in variables:
        # Those that were changed in a few rows are copied by every reader.
        tf.raw_ops.DisableCopyOnRead(resource=variable.handle)
    return [tf.convert_to_tensor(variable) for variable in variables]


def are_held(values: list[tf.Tensor], variables: Sequence[tf.Variable]) -> bool:
    """Tells whether variables have not been changed since.

    Args:
        values: What `hold` gave.
        variables: Those that it was given, or others.
    """
    return _addresses(values) == _addresses(hold(variables))


def _addresses(values: list[tf.Tensor]) -> list[int]:
    return [np.asarray(memoryview(value)).ctypes.data for value in values]
