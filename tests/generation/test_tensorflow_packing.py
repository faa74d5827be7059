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
    product = tf.function(
        lambda x: packing.packed_product(x, kept, transpose=transpose)
    )
    for _ in range(2):
        expected = x.astype("float64") @ weights
        np.testing.assert_allclose(product(x), expected, atol=1e-5)


def test_weights_are_those_of_the_first_run(packing):
    """What callers must know, and why values are held."""
    import tensorflow as tf

    x, weights = numbers(8, 17), tf.Variable(numbers(17, 13))
    product = tf.function(lambda x: packing.packed_product(x, weights))
    before = product(x).numpy()
    weights.assign(2 * weights)
    np.testing.assert_array_equal(product(x), before)


def changes():
    import tensorflow as tf

    return {
        "assign": lambda v: v.assign(-v),
        "assign the same": lambda v: v.assign(v + 0.0),
        "assign an array": lambda v: v.assign(v.numpy()),
        "add": lambda v: v.assign_add(tf.ones_like(v)),
        "add in a graph": tf.function(lambda v: v.assign_sub(v) is None),
        "one element": lambda v: v[0, 0].assign(3.0),
        "a row": lambda v: v.scatter_update(
            tf.IndexedSlices(tf.ones((1, 3)), [0])
        ),
        "add to a row": lambda v: v.scatter_add(
            tf.IndexedSlices(tf.ones((1, 3)), [0])
        ),
        "descend": lambda v: tf.raw_ops.ResourceApplyGradientDescent(
            var=v.handle, alpha=1.0, delta=tf.ones_like(v)
        ),
    }


@pytest.mark.parametrize("name", changes())
def test_whatever_changes_a_weight_is_noticed(packing, name):
    import tensorflow as tf

    kept = [tf.Variable(numbers(5, 3)), tf.Variable(numbers(3))]
    values = packing.hold(kept)
    for variable in kept:
        variable.numpy()
    assert packing.are_held(values, kept)
    changes()[name](kept[0])
    assert not packing.are_held(values, kept)
    assert not packing.are_held(values, kept[1:])
    assert packing.are_held(packing.hold(kept), kept)


def test_a_fitted_weight_is_noticed(packing):
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.fit(numbers(8, 3), numbers(8, 2), verbose=0)
    kernel = [model.layers[0].kernel.value]
    for _ in range(2):
        values = packing.hold(kernel)
        model.fit(numbers(8, 3), numbers(8, 2), verbose=0)
        assert not packing.are_held(values, kernel)
