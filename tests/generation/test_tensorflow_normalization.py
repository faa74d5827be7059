import keras
import numpy as np
import pytest

import keras_bigmodel as kbm

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")

from keras_bigmodel.generation import (  # noqa: E402
    tensorflow_normalization as normalization,
)


def numbers(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return values.astype("float32")


def made(layer, width=7):
    """The layer with other than its first weights."""
    layer.build((None, None, width))
    for weight in layer.weights:
        weight.assign(weight + numbers(width))
    return layer


LAYERS = {
    "layer": lambda: keras.layers.LayerNormalization(epsilon=1e-5),
    "no offset": lambda: keras.layers.LayerNormalization(center=False),
    "no factor": lambda: keras.layers.LayerNormalization(scale=False),
    "neither": lambda: keras.layers.LayerNormalization(
        center=False, scale=False
    ),
    "Keras's RMS": lambda: keras.layers.RMSNormalization(),
    "RMS": lambda: kbm.layers.RMSNormalization(),
}


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_scaled_is_what_the_layer_gives(name):
    layer, x = made(LAYERS[name]()), tf.constant(3 + numbers(2, 5, 7))
    found, unscaled = normalization.normalized(layer, x)
    np.testing.assert_allclose(found, layer(x), atol=1e-5)
    power = np.mean(np.square(unscaled), axis=-1)
    np.testing.assert_allclose(power, 1.0, atol=1e-2)
    factor, offset = normalization.scaling(layer)
    expected = unscaled * (1.0 if factor is None else factor)
    expected = expected + (0.0 if offset is None else offset)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.LayerNormalization(axis=1),
        keras.layers.LayerNormalization(axis=[1, 2]),
        keras.layers.UnitNormalization(),
        keras.layers.LayerNormalization(dtype="float16"),
    ],
    ids=["axis 1", "two axes", "unit", "float16"],
)
def test_others_compute_it_themselves(layer):
    x = tf.cast(3 + numbers(2, 7, 7), layer.compute_dtype)
    layer.build(x.shape)
    found, unscaled = normalization.normalized(layer, x)
    np.testing.assert_array_equal(found, layer(x))
    assert unscaled is None


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_a_matrix_does_what_a_normalisation_ends_with(name, use_bias):
    layer = made(LAYERS[name]())
    dense = keras.layers.Dense(
        5, use_bias=use_bias, bias_initializer="random_normal"
    )
    dense.build((None, 7))
    x = tf.constant(3 + numbers(4, 2, 7))
    kernel, bias = normalization.weights_behind(dense, layer)
    _, unscaled = normalization.normalized(layer, x)
    found = unscaled.numpy() @ kernel + (0.0 if bias is None else bias)
    np.testing.assert_allclose(found, dense(layer(x)), atol=1e-5)
    has_bias = use_bias or normalization.scaling(layer)[1] is not None
    assert (bias is not None) == has_bias


def test_without_a_normalisation_weights_are_the_layers():
    dense = keras.layers.Dense(5)
    dense.build((None, 7))
    kernel, bias = normalization.weights_behind(dense, None)
    np.testing.assert_array_equal(kernel, dense.kernel)
    np.testing.assert_array_equal(bias, dense.bias)
