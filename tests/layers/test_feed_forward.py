"""The feed-forward network."""

import keras
import numpy as np
import pytest

from keras_bigmodel.layers import FeedForward
from tests.layer_checks import check_layer
from tests.layers.test_activations import FORMULAS

X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


@pytest.mark.parametrize(
    ("gated", "use_bias", "activation"),
    [
        (False, True, "gelu"),
        (False, False, "relu_squared"),
        (True, True, "gelu_tanh"),
        (True, False, "silu"),
    ],
)
def test_all_checks(gated, use_bias, activation):
    def reference(x, weights):
        def dense(name, x):
            return x @ weights[f"{name}/kernel"] + weights.get(
                f"{name}/bias", 0
            )

        f = np.vectorize(FORMULAS[activation])
        wide = f(dense("gate" if gated else "up", x))
        return dense("down", wide * dense("up", x) if gated else wide)

    check_layer(
        FeedForward,
        {
            "intermediate_dim": 7,
            "activation": activation,
            "gated": gated,
            "use_bias": use_bias,
        },
        X,
        (2, 5, 3),
        reference,
    )


def test_any_number_of_axes():
    layer = FeedForward(7)
    np.testing.assert_allclose(layer(X)[0, 0], layer(X[0, :1])[0], atol=1e-6)


def test_gate_and_up_start_apart():
    layer = FeedForward(7, gated=True)
    layer.build((None, 3))
    assert np.abs(layer.gate.kernel - layer.up.kernel).max() > 0.01


def test_kernel_initializer_reaches_every_kernel():
    layer = FeedForward(7, gated=True, kernel_initializer="ones")
    layer.build((None, 3))
    for dense in (layer.gate, layer.up, layer.down):
        np.testing.assert_array_equal(dense.kernel, np.ones(dense.kernel.shape))


def test_dropout_acts_on_the_intermediate_features():
    layer = FeedForward(500, dropout=0.25, kernel_initializer="ones")
    x = np.ones((1, 2), "float32")
    whole = float(layer(x)[0, 0])
    share = float(layer(x, training=True)[0, 0]) / whole
    assert abs(share - 1) < 0.1
    units = share * 500 * 0.75
    np.testing.assert_allclose(units, round(units), atol=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"intermediate_dim": 0}, "intermediate_dim=0"),
        ({"intermediate_dim": 7, "activation": "swish"}, "activation='swish'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeedForward(**arguments)


def test_float16_policy_reaches_the_parts():
    layer = FeedForward(7, dtype="mixed_float16")
    y = layer(X)
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    assert layer.up.compute_dtype == "float16"
