import keras
import numpy as np
import pytest

from keras_bigmodel.layers.projection import project
from tests.layer_case import to_numpy


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 1, 5), (0, 3, 5), (2, 5)])
def test_the_product_is_the_layers_own(shape):
    layer = keras.layers.Dense(6, bias_initializer="ones")
    layer.build((None, 5))
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    found = to_numpy(project(layer, x))
    expected = x @ to_numpy(layer.kernel) + 1.0
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_features_take_a_shape():
    layer = keras.layers.Dense(6)
    x = np.ones((2, 3, 5), "float32")
    plain = to_numpy(project(layer, x))
    split = to_numpy(project(layer, x, (3, 2)))
    np.testing.assert_array_equal(split, plain.reshape(2, 3, 3, 2))


@pytest.mark.tensorflow
def test_open_dimensions():
    import tensorflow as tf

    layer = keras.layers.Dense(6)
    layer.build((None, 5))
    for spec in ([None, None, 5], [None, 3, 5], [2, None, 5]):
        function = tf.function(
            lambda x: project(layer, x, (2, 3)),
            input_signature=[tf.TensorSpec(spec)],
        )
        assert function(tf.ones([2, 3, 5])).shape == (2, 3, 2, 3)
