"""Matrix products of 8-bit integers, by a kernel of TensorFlow for x86-64.

`_QuantizedMatMul` comes from oneDNN and is in every build of TensorFlow, and of
TF Serving, for x86-64 Linux. It has no Python function of its own, so that it
is put into graphs by its name. It reorders its weights when it first runs and
keeps them so.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.python.framework import kernels

from keras_bigmodel.generation.tensorflow_parts import (
    pieces_of,
    put_together,
)
from keras_bigmodel.layers.attention import SelfAttention
from keras_bigmodel.layers.decoding import shared
from keras_bigmodel.layers.token_embedding import TokenEmbedding

KERNEL = "_QuantizedMatMul"
# What stands for zero among 0, ..., 255.
_ZERO = 128
_MOST = 127
_LEAST_SCALE = 1e-30
# Bytes of a matrix that two cores, a half each, multiply sooner than all cores
# together: waking them takes as long as reading a megabyte. Smaller ones gain
# nothing, and what is done with halves counts little for larger ones.
_LEAST_PARTED, _MOST_PARTED = 2**18, 2**23


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

        x M^T = s_x s_M (q_x - 128) q_M^T = s_x s_M (q_x q_M^T - 128 sum(q_M))

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
        flat = x if x.shape.rank == 2 else tf.reshape(x, [-1, self._width])
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
        ((weights, _, scales),) = self._parts
        found = tf.gather(weights.read_value(), index)
        scales = tf.gather(scales.read_value(), index)
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
    """Returns 8-bit weights, corrections, scales and perhaps biases."""
    weights, scales = quantize(values)
    sums = -float(_ZERO) * weights.sum(axis=1, dtype="float64")
    arrays = [weights, sums.astype("float32"), scales]
    if bias is not None:
        arrays.append(np.asarray(bias, "float32"))
    return [tf.Variable(array, trainable=False) for array in arrays]


def _integers(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what `quantize_rows` gives, once a step for all who read x."""
    return shared(("eight bits", x.ref()), lambda: quantize_rows(x))


def _product(
    integers: tf.Tensor,
    scale: tf.Tensor,
    part: list[tf.Variable],
    is_whole: bool,
) -> tf.Tensor:
    """Returns the numbers of `quantize_rows` times a part, and its biases."""
    weights, corrections, scales, *bias = part
    y = _multiply(
        integers,
        tf.bitcast(weights.read_value(), tf.qint8),
        corrections.read_value(),
    )
    y = y * scale
    # TensorFlow has two factors multiplied with each other first, while the
    # product is made: that wakes the core for the second part in time, but is
    # in the way where all cores do one product.
    y = tf.math.multiply_no_nan(y, scales) if is_whole else y * scales
    return y + bias[0] if bias else y


def quantize_rows(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns whole numbers from 1 to 255, and what each row is times.

    Args:
        x: float32, (rows, columns).
    """
    largest = tf.reduce_max(tf.abs(x), axis=1, keepdims=True)
    scale = tf.maximum(largest / _MOST, _LEAST_SCALE)
    # All are positive, so that leaving the fraction out rounds.
    integers = tf.cast(x / scale + (_ZERO + 0.5), tf.uint8)
    return tf.bitcast(integers, tf.quint8), scale


def use_eight_bits(model: keras.Model) -> int:
    """Has a model's Dense layers and token tables run on 8-bit integers.

    Other weights, such as those of convolutions, recurrent layers, experts and
    normalisations, stay as they are.

    Args:
        model: A model. It is changed, can be called but not trained or saved.

    Returns:
        How many of its parameters have 8 bits now.
    """
    layers = model._flatten_layers()
    matrices = []
    joined = set()
    for layer in layers:
        if isinstance(layer, SelfAttention):
            projections = (
                layer.key_projection,
                layer.query_projection,
                layer.value_projection,
            )
            matrices.append(_heads_matrix(*projections))
            layer.project_heads = functools.partial(
                _project_heads, layer, matrices[-1]
            )
            joined.update(map(id, projections))
    for layer in layers:
        if isinstance(layer, keras.layers.Dense) and id(layer) not in joined:
            values, bias = _values_of(layer)
            outputs, inputs = values.shape
            matrices.append(_matrix_of(values, bias, inputs > outputs))
            layer.products = functools.partial(_dense, layer, matrices[-1])
            layer.call = functools.partial(_call, layer)
        elif isinstance(layer, TokenEmbedding):
            matrices.append(EightBitMatrix(layer.embeddings))
            layer.rows = matrices[-1].rows
            layer.products = matrices[-1].products
    return sum(matrix.num_parameters for matrix in matrices)


def _values_of(
    layer: keras.layers.Dense,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns a kernel, (outputs, inputs), and its biases."""
    bias = np.array(layer.bias) if layer.use_bias else None
    return np.transpose(layer.kernel), bias


def _matrix_of(
    values: np.ndarray, bias: np.ndarray | None, cuts_inputs: bool
) -> EightBitMatrix:
    """Returns a matrix, in parts if that is sooner multiplied."""
    fits = _LEAST_PARTED <= values.size <= _MOST_PARTED
    even = values.shape[int(cuts_inputs)] % 2 == 0
    parts = 2 if fits and even else 1
    return EightBitMatrix(values, bias, parts, cuts_inputs)


def _heads_matrix(
    key: keras.layers.Dense,
    query: keras.layers.Dense,
    value: keras.layers.Dense,
) -> EightBitMatrix:
    """Returns one matrix for keys, queries, values and queries.

    A core has keys or values, and half of the queries.
    """
    layers = key, query, value
    values, biases = zip(*map(_values_of, layers), strict=True)
    bias = None
    if any(layer.use_bias for layer in layers):
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
    layer: SelfAttention, matrix: EightBitMatrix, x: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """Computes what `SelfAttention.project_heads` does."""
    length, width = x.shape[1:]
    y = matrix.products(tf.reshape(x, [-1, width]))
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
    matrix: EightBitMatrix,
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
    (y,) = made.outputs
    y.set_shape([x.shape[0], weights.shape[0]])
    return y
