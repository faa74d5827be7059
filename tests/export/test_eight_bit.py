import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.export import eight_bit

pytestmark = [
    pytest.mark.skipif(
        not eight_bit.has_kernel(),
        reason="this build of TensorFlow has no _QuantizedMatMul",
    )
]


def reference(x, matrix):
    """The same in float64, with the rounding written out."""
    matrix_scale = np.abs(matrix).max(1, keepdims=True) / 127
    weights = np.rint(matrix / matrix_scale)
    scale = np.abs(x).max(-1, keepdims=True) / 127
    rounded = np.floor(x / np.where(scale == 0, 1, scale) + 0.5)
    return (rounded @ weights.T) * scale * matrix_scale[:, 0]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_rows_of_integers():
    values = numbers(5, 7) * np.float32([[1], [1e-3], [0], [50], [1]])
    integers, scales = eight_bit.quantize(values)
    assert integers.dtype == np.int8 and np.abs(integers).max() == 127
    assert scales.shape == (5,) and integers[2].tolist() == [0] * 7
    error = np.abs(integers * scales[:, None] - values)
    assert np.all(error <= scales[:, None] / 2 + 1e-7)


@pytest.mark.parametrize("shape", [(1, 13), (11, 13), (2, 3, 13), (0, 13)])
def test_products_eager_and_in_a_graph(shape):
    matrix = numbers(17, 13)
    ours = eight_bit.EightBitMatrix(matrix)
    x = numbers(*shape, seed=1)
    if shape[0] == 11:
        x[3] = 0
        x[5] *= 1e-20
    expected = reference(x.astype("float64"), matrix.astype("float64"))
    products = ours.products(tf.constant(x))
    np.testing.assert_allclose(products, expected, 1e-4, 1e-4)
    traced = tf.function(ours.products, autograph=False)(tf.constant(x))
    np.testing.assert_allclose(traced, products, 1e-6)


def test_a_row_does_not_see_its_neighbours():
    ours = eight_bit.EightBitMatrix(numbers(17, 13))
    x = numbers(5, 13)
    alone = ours.products(tf.constant(x[:1]))
    x[1:] *= 1000
    np.testing.assert_array_equal(ours.products(tf.constant(x))[:1], alone)


def test_rows_are_those_of_the_matrix():
    matrix = numbers(17, 13)
    ours = eight_bit.EightBitMatrix(matrix)
    found = ours.rows(tf.constant([[3, 16], [0, 3]]))
    np.testing.assert_allclose(
        found, matrix[[[3, 16], [0, 3]]], atol=np.abs(matrix).max() / 254
    )


def test_parts_and_an_activation_change_nothing():
    matrix, bias, x = numbers(18, 13), numbers(18, seed=2), numbers(5, 13)
    whole = eight_bit.EightBitMatrix(matrix, bias).products(tf.constant(x))
    expected = reference(x.astype("float64"), matrix.astype("float64")) + bias
    np.testing.assert_allclose(whole, expected, 1e-4, 1e-4)
    parted = eight_bit.EightBitMatrix(matrix, bias, parts=2)
    products = tf.function(parted.products, autograph=False)
    np.testing.assert_allclose(products(x), whole, 1e-6, 1e-6)
    np.testing.assert_array_equal(
        products(x, tf.nn.relu), tf.nn.relu(products(x))
    )


def test_parts_of_the_inputs_have_their_own_scales():
    matrix, bias = numbers(17, 14), numbers(17, seed=2)
    x = numbers(5, 14, seed=1)
    x[:, 7:] *= 1e-3  # A common scale would leave little of them.
    ours = eight_bit.EightBitMatrix(matrix, bias, parts=2, cuts_inputs=True)
    expected = bias + sum(
        reference(x[:, half].astype("float64"), matrix[:, half])
        for half in (slice(7), slice(7, None))
    )
    products = ours.products(tf.constant(x))
    np.testing.assert_allclose(products, expected, 1e-4, 1e-4)
    np.testing.assert_array_equal(
        ours.products(tf.constant(x), tf.nn.relu), tf.nn.relu(products)
    )
    alone = ours.products(tf.constant(x[:1]))
    np.testing.assert_array_equal(alone, products[:1])


def test_looking_up_rows_copies_no_variable():
    ours = eight_bit.EightBitMatrix(numbers(17, 13))
    graph = (
        tf.function(ours.rows, autograph=False)
        .get_concrete_function(tf.TensorSpec([None], tf.int32))
        .graph
    )
    assert "ResourceGather" not in {op.type for op in graph.get_operations()}
