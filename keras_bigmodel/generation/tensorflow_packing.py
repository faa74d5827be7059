"""Matrix products with weights that lie as an x86-64 CPU reads them.

oneDNN, which is in TensorFlow's builds for x86-64, multiplies a few rows by a
matrix much faster if it may first copy the matrix into blocks of its own. It
keeps the copy, so that this is for weights that do not change. The op has no
Python function of its own and is put into graphs by its name.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.python.framework import kernels

from keras_bigmodel.layers.token_embedding import TokenEmbedding

KERNEL = "_MklNativeFusedMatMul"


def is_available() -> bool:
    """Tells whether TensorFlow has the kernel, and runs on a CPU alone."""
    registered = kernels.get_registered_kernels_for_op(KERNEL).kernel
    return bool(registered) and not tf.config.list_physical_devices("GPU")


def packed_product(
    x: tf.Tensor, weights: tf.Tensor, transpose: bool = False
) -> tf.Tensor:
    """Returns x W, W as it was when the graph first ran.

    Args:
        x: float32, (rows, inputs), always fewer than `BLOCK_ROWS` or never:
            otherwise W would be packed anew at each change.
        weights: W, float32, (inputs, outputs).
        transpose: Whether `weights` is W^T.
    """
    weights = tf.convert_to_tensor(weights)
    outputs = weights.shape[0 if transpose else 1]
    attributes = {
        "T": AttrValue(type=tf.float32.as_datatype_enum),
        "transpose_a": AttrValue(b=False),
        "transpose_b": AttrValue(b=transpose),
        "num_args": AttrValue(i=1),
        "fused_ops": AttrValue(
            # There is no such product without a bias.
            list=AttrValue.ListValue(s=[b"BiasAdd"])
        ),
        "is_filter_const": AttrValue(b=True),
        "_kernel": AttrValue(s=b"MklNameChangeOp"),
    }
    graph = tf.compat.v1.get_default_graph()
    made = graph.create_op(
        KERNEL,
        [x, weights, tf.zeros([outputs])],
        attrs=attributes,
        name="product",
    )
    (y,) = made.outputs
    y.set_shape([x.shape[0], outputs])
    return y


def is_plain(layer: keras.layers.Dense) -> bool:
    """Tells whether a layer is a product with its kernel and nothing else."""
    changed = layer.lora_enabled or layer.quantization_mode is not None
    changed = changed or layer.activation is not keras.activations.linear
    # Weights of 8 bits replace what the single layer does.
    return not changed and "products" not in vars(layer)


def packable_weights(model: keras.Model) -> list[tf.Variable]:
    """Returns the weights of a model that steps would read packed.

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
            found.append(layer.kernel.value)
        elif isinstance(layer, TokenEmbedding):
            found.append(layer.embeddings.value)
    return found


def digest(values: Sequence[tf.Variable]) -> bytes:
    """Returns what tells these numbers from others, 8 bytes each.

    Args:
        values: Variables, of any shapes.
    """
    values = [tf.convert_to_tensor(value) for value in values]
    return _fingerprints(values).numpy().tobytes()


@tf.function(autograph=False)
def _fingerprints(values: list[tf.Tensor]) -> tf.Tensor:
    return tf.concat(
        [
            tf.raw_ops.Fingerprint(
                data=tf.reshape(value, [1, -1]), method="farmhash64"
            )
            for value in values
        ],
        axis=0,
    )
