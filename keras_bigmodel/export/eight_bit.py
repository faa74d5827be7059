"""Matrix products of 8-bit integers, by a kernel of TensorFlow for x86-64.

`_QuantizedMatMul` comes from oneDNN and is in every build of TensorFlow, and of
TF Serving, for x86-64 Linux. It has no Python function of its own, so that it
is put into graphs by its name. It reorders its weights when it first runs and
keeps them so.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.python.framework import kernels

from keras_bigmodel.generation.tensorflow_parts import (
    pieces_of,
    put_together,
    rows_of,
)
from keras_bigmodel.layers.decoding import shared

KERNEL = "_QuantizedMatMul"
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

    It computes f(x M^T + b). Each row of x becomes 8-bit integers too, by a
    scale of its own, so that no row's result depends on its neighbours:

        x M^T = s_x s_M q_x q_M^T

    A matrix may be cut into parts that cores multiply side by side. What the
    parts of one's outputs give, those of the next one's inputs take, each part
    by a scale of its own: the cores need not meet in between.

    Args:
        values: M as floats.
        bias: b, (outputs,); None: zeros.
        parts: Into how many parts M is cut.
        cuts_inputs: Whether parts have some of the inputs each, and are added
            up, instead of some of the outputs.
    """

    def __init__(
        self,
        values: np.ndarray,
        bias: np.ndarray | None = None,
        parts: int = 1,
        cuts_inputs: bool = False,
    ) -> None:
        values = np.asarray(values, "float32")
        self.num_parameters = values.size
        self.num_parts = parts
        self._width = values.shape[1]
        self._cuts_inputs = cuts_inputs
        biases = [bias] + [None] * (parts - 1)
        if bias is not None and not cuts_inputs:
            biases = np.split(bias, parts)
        pieces = np.split(values, parts, axis=int(cuts_inputs))
        self._parts = [
            _new_part(*part) for part in zip(pieces, biases, strict=True)
        ]

    @property
    def variables(self) -> list[tf.Variable]:
        """What it is made of."""
        return [variable for part in self._parts for variable in part]

    def products(
        self,
        x: tf.Tensor,
        activation: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Returns f(x M^T + b).

        Args:
            x: float32, (..., inputs).
            activation: f, of each number by itself; None: nothing.
        """
        flat = x if x.shape.rank == 2 else rows_of(x)
        # The op can only be made inside a graph.
        if tf.executing_eagerly():
            y = self._eager(flat)
            y = y if activation is None else activation(y)
        else:
            y = self._products(flat, activation)
        if x.shape.rank == 2:
            return y
        return tf.reshape(y, tf.concat([tf.shape(x)[:-1], [y.shape[1]]], 0))

    def rows(self, index: tf.Tensor) -> tf.Tensor:
        """Returns rows of M as floats, if M is whole.

        Args:
            index: Whole numbers, of any shape.
        """
        # Gathering from a variable itself would have TensorFlow copy all of
        # it whenever it is read from then on.
        ((weights, scales),) = self._parts
        found = tf.gather(tf.bitcast(weights.read_value(), tf.int8), index)
        scales = _MOST * tf.gather(scales.read_value(), index)
        return tf.cast(found, tf.float32) * scales[..., None]

    @functools.cached_property
    def _eager(self) -> Any:
        function = tf.function(self._products, autograph=False)
        return function.get_concrete_function(
            tf.TensorSpec([None, self._width])
        )

    def _products(
        self,
        x: tf.Tensor,
        activation: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> tf.Tensor:
        count = self.num_parts
        if count == 1 or not self._cuts_inputs:
            integers = _integers(x)
            pieces = [
                _product(*integers, part, is_whole=count == 1)
                for part in self._parts
            ]
            if activation is not None:
                pieces = [activation(piece) for piece in pieces]
            return put_together(pieces)
        y = tf.add_n(
            [
                _product(*_integers(piece), part, is_whole=False)
                for piece, part in zip(
                    pieces_of(x, count), self._parts, strict=True
                )
            ]
        )
        return y if activation is None else activation(y)


def _new_part(values: np.ndarray, bias: np.ndarray | None) -> list[tf.Variable]:
    """Returns 8-bit weights, what they and a row are times, perhaps biases."""
    weights, scales = quantize(values)
    arrays = [tf.bitcast(weights, tf.qint8), scales / _MOST]
    if bias is not None:
        arrays.append(np.asarray(bias, "float32"))
    return [tf.Variable(array, trainable=False) for array in arrays]


def _integers(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what `quantize_rows` gives, once a step for all who read x."""
    return shared(("eight bits", x.ref()), lambda: quantize_rows(x))


def remember_integers(
    x: tf.Tensor, integers: tf.Tensor, largest: tf.Tensor
) -> None:
    """Has those who read x in this step take numbers that are known already.

    Args:
        x: (rows, columns).
        integers: qint8, (rows, columns), what is left of x.
        largest: float32, (rows, 1), what 127 stands for.
    """
    shared(("eight bits", x.ref()), lambda: (integers, largest))


def _product(
    integers: tf.Tensor,
    largest: tf.Tensor,
    part: list[tf.Variable],
    is_whole: bool,
) -> tf.Tensor:
    """Returns the numbers of `quantize_rows` times a part, and its biases."""
    weights, scales, *bias = part
    y = _multiply(integers, weights.read_value()) * largest
    # TensorFlow has two factors multiplied with each other first, while the
    # product is made: that wakes the core for the second part in time, but is
    # in the way where all cores do one product.
    y = tf.math.multiply_no_nan(y, scales) if is_whole else y * scales
    return y + bias[0] if bias else y


def quantize_rows(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns whole numbers from -127 to 127, and what 127 stands for.

    Args:
        x: float32, (rows, columns).
    """
    largest = tf.reduce_max(tf.abs(x), axis=1, keepdims=True)
    numbers = tf.round(x * tf.math.divide_no_nan(float(_MOST), largest))
    return tf.bitcast(tf.cast(numbers, tf.int8), tf.qint8), largest


def _multiply(x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Returns x weights^T, floats that are whole numbers.

    Args:
        x: qint8, (rows, inputs).
        weights: qint8, (outputs, inputs).
    """
    # The ranges say that an integer stands for itself. There is no such
    # product without a bias.
    ranges = [tf.constant(v) for v in 2 * (-float(_MOST), float(_MOST))]
    inputs = [x, weights, tf.zeros(weights.shape[:1]), *ranges]
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
    (y,) = made.outputs
    y.set_shape([x.shape[0], weights.shape[0]])
    return y
