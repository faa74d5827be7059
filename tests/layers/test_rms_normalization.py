"""RMSNormalization."""

import keras
import numpy as np

from keras_bigmodel.layers import RMSNormalization, TokenEmbedding
from tests.layer_checks import check_layer


def reference(inputs, weights):
    x = np.asarray(inputs, "float64")
    mean_square = np.mean(x**2, axis=-1, keepdims=True)
    return weights["scale"] * x / np.sqrt(mean_square + 1e-3)


def test_layer():
    x = np.random.default_rng(0).normal(size=(2, 5, 7)).astype("float32")
    check_layer(
        RMSNormalization, {"epsilon": 1e-3}, x, (2, 5, 7), reference=reference
    )


def test_across_two_axes():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 7))
    layer = RMSNormalization(axis=(-2, -1))
    mean_square = np.mean(x**2, axis=(-2, -1), keepdims=True)
    expected = x / np.sqrt(mean_square + layer.epsilon)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5)
    assert layer.scale.shape == (5, 7)


def test_the_mask_is_passed_on():
    token_ids = keras.Input((None,), dtype="int32")
    x = TokenEmbedding(11, 3, pad_id=0)(token_ids)
    y = RMSNormalization()(x)
    assert y._keras_mask is not None
