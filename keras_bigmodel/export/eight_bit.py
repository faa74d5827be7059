"""Matrix products of 8-bit integers, by a kernel of TensorFlow for x86-64.

`_QuantizedMatMul` comes from oneDNN and is in every build of TensorFlow, and of
TF Serving, for x86-64 Linux. It has no Python function of its own, so that it
is put into graphs by its name. It reorders its weights when it first runs and
keeps them so.
"""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.python.framework import kernels

from keras_bigmodel.layers.token_embedding import TokenEmbedding

KERNEL = "_QuantizedMatMul"
# What stands for zero among 0, ..., 255.
_ZERO = 128
_MOST = 127
_LEAST_SCALE = 1e-30


def has_kernel() -> bool:
    """Tells whether this build of TensorFlow multiplies 8-bit integers so."""
    return bool(kernels.get_registered_kernels_for_op(KERNEL).kernel)


def quantize(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns whole numbers from -127 to 127, and what each row is times.

    Args:
        values: (rows, columns).
    """
    scales = np.abs(values).max(axis=1) / _MOST
    scales = np.maximum(scales, _LEAST_SCALE).astype("float32")
    return np.rint(values / scales[:, None]).astype("int8"), scales


class EightBitMatrix:
    """A matrix M of 8-bit integers, (outputs, inputs), with a scale a row.

    It computes x M^T. Each row of x becomes 8-bit integers too, by a scale of
    its own, so that no row's result depends on its neighbours:

        x M^T = s_x s_M (q_x - 128) q_M^T = s_x s_M (q_x q_M^T - 128 sum(q_M))

    Args:
        values: M as floats.
    """

    def __init__(self, values: np.ndarray) -> None:
        weights, scales = quantize(np.asarray(values, "float32"))
        self.num_parameters = weights.size
        self._width = weights.shape[1]
        self._weights = tf.Variable(weights, trainable=False)
        self._scales = tf.Variable(scales, trainable=False)
        sums = -float(_ZERO) * weights.sum(axis=1, dtype="float64")
        self._corrections = tf.Variable(sums.astype("float32"), trainable=False)

    def products(self, x: tf.Tensor) -> tf.Tensor:
        """Returns x M^T.

        Args:
            x: float32, (..., inputs).
        """
        flat = x if x.shape.rank == 2 else tf.reshape(x, [-1, self._width])
        # The op can only be made inside a graph.
        run = self._eager if tf.executing_eagerly() else self._products
        y = run(flat)
        if x.shape.rank == 2:
            return y
        return tf.reshape(y, tf.concat([tf.shape(x)[:-1], [y.shape[1]]], 0))

    def rows(self, index: tf.Tensor) -> tf.Tensor:
        """Returns rows of M as floats.

        Args:
            index: Whole numbers, of any shape.
        """
        weights = tf.cast(tf.gather(self._weights, index), tf.float32)
        return weights * tf.gather(self._scales, index)[..., None]

    @functools.cached_property
    def _eager(self) -> Any:
        function = tf.function(self._products, autograph=False)
        return function.get_concrete_function(
            tf.TensorSpec([None, self._width])
        )

    def _products(self, x: tf.Tensor) -> tf.Tensor:
        largest = tf.reduce_max(tf.abs(x), axis=1, keepdims=True)
        scale = tf.maximum(largest / _MOST, _LEAST_SCALE)
        # All are positive, so that leaving the fraction out rounds.
        integers = tf.cast(x / scale + (_ZERO + 0.5), tf.uint8)
        products = _multiply(
            tf.bitcast(integers, tf.quint8),
            tf.bitcast(self._weights.read_value(), tf.qint8),
            self._corrections.read_value(),
        )
        products.set_shape([x.shape[0], self._weights.shape[0]])
        return products * scale * self._scales


def use_eight_bits(model: keras.Model) -> int:
    """Has a model's Dense layers and token tables run on 8-bit integers.

    Other weights, such as those of convolutions, recurrent layers, experts and
    normalisations, stay as they are.

    Args:
        model: A model. It is changed, can be called but not trained or saved.

    Returns:
        How many of its parameters have 8 bits now.
    """
    count = 0
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            matrix = EightBitMatrix(np.transpose(layer.kernel))
            layer.call = functools.partial(_dense, layer, matrix)
        elif isinstance(layer, TokenEmbedding):
            matrix = EightBitMatrix(layer.embeddings)
            layer.rows, layer.products = matrix.rows, matrix.products
        else:
            continue
        count += matrix.num_parameters
    return count


def _dense(
    layer: keras.layers.Dense,
    matrix: EightBitMatrix,
    inputs: tf.Tensor,
    training: bool | None = None,
) -> tf.Tensor:
    """Computes what `keras.layers.Dense` does."""
    x = matrix.products(inputs)
    if layer.bias is not None:
        x = x + tf.convert_to_tensor(layer.bias)
    return x if layer.activation is None else layer.activation(x)


def _multiply(
    x: tf.Tensor, weights: tf.Tensor, corrections: tf.Tensor
) -> tf.Tensor:
    """Returns x weights^T + corrections, floats that are whole numbers.

    Args:
        x: quint8, (rows, inputs).
        weights: qint8, (outputs, inputs).
        corrections: float32, (outputs,).
    """
    # The ranges say that an integer stands for itself.
    ranges = [tf.constant(v) for v in (0.0, 255.0, -127.0, 127.0)]
    inputs = [x, weights, corrections, *ranges]
    types = [tensor.dtype.as_datatype_enum for tensor in inputs]
    single = AttrValue(type=tf.float32.as_datatype_enum)
    none = AttrValue(list=AttrValue.ListValue())
    attributes = {
        "T1": AttrValue(type=types[0]),
        "T2": AttrValue(type=types[1]),
        "Tbias": single,
        "Tout": single,
        "U": single,
        "transpose_a": AttrValue(b=False),
        "transpose_b": AttrValue(b=True),
        "is_weight_const": AttrValue(b=True),
        "is_bias_const": AttrValue(b=True),
        "fused_ops": AttrValue(
            list=AttrValue.ListValue(s=[b"BiasAdd", b"Dequantize"])
        ),
        "input_quant_mode": AttrValue(s=b"SCALED"),
        "output_quant_mode": AttrValue(s=b"SCALED"),
        "Tdevice_inputs": none,
        "Tdevice_outputs": none,
        "Thost_inputs": AttrValue(list=AttrValue.ListValue(type=types)),
        "Thost_outputs": AttrValue(
            list=AttrValue.ListValue(type=[single.type])
        ),
    }
    graph = tf.compat.v1.get_default_graph()
    made = graph.create_op(KERNEL, inputs, attrs=attributes, name="product")
    return made.outputs[0]
