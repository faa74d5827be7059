"""Matrix products with weights that lie as an x86-64 CPU reads them.

oneDNN, which is in TensorFlow's builds for x86-64, multiplies a few rows by a
matrix much faster if it may first copy the matrix into blocks of its own. It
keeps the copy, so that this is for weights that do not change. The op has no
Python function of its own and is put into graphs by its name.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.python.framework import kernels

from keras_bigmodel.generation.tensorflow_normalization import (
    normalizes_features,
    scaling,
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
