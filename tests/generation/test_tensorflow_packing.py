import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow


@pytest.fixture(autouse=True)
def packing():
    from keras_bigmodel.generation import tensorflow_packing

    if not tensorflow_packing.is_available():
        pytest.skip("this TensorFlow has no packed products")
    return tensorflow_packing


def numbers(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return values.astype("float32")


@pytest.mark.parametrize("rows", [8, 9, 64])
@pytest.mark.parametrize("transpose", [False, True])
def test_products(packing, rows, transpose):
    import tensorflow as tf

    x, weights = numbers(rows, 17), numbers(17, 13)
    kept = tf.Variable(weights.T if transpose else weights)
    product = tf.function(lambda x: packing.packed_product(x, kept, transpose))
    for _ in range(2):
        expected = x.astype("float64") @ weights
        np.testing.assert_allclose(product(x), expected, atol=1e-5)


def test_weights_are_those_of_the_first_run(packing):
    """What callers must know, and why digests are compared."""
    import tensorflow as tf

    x, weights = numbers(8, 17), tf.Variable(numbers(17, 13))
    product = tf.function(lambda x: packing.packed_product(x, weights))
    before = product(x).numpy()
    weights.assign(2 * weights)
    np.testing.assert_array_equal(product(x), before)


def test_digests_tell_numbers_apart(packing):
    import tensorflow as tf

    values = numbers(5, 3)
    kept = [tf.Variable(values), tf.Variable([1, 2]), tf.Variable(True)]
    first = packing.digest(kept)
    assert len(first) == 8 * len(kept)
    assert packing.digest(kept) == first
    kept[0].assign(values[::-1])
    assert packing.digest(kept) != first
    kept[0].assign(values)
    assert packing.digest(kept) == first
    kept[0].assign(np.nextafter(values, np.inf))
    assert packing.digest(kept) != first
