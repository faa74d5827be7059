"""The activations of feed-forward networks."""

import math

import numpy as np
import pytest

from keras_bigmodel.layers import activations

FORMULAS = {
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: (
        x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    ),
    "relu": lambda x: max(x, 0.0),
    "relu_squared": lambda x: max(x, 0.0) ** 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name):
    x = np.linspace(-5, 5, 41)
    y = activations.get(name)(x.astype("float32"))
    expected = [FORMULAS[name](value) for value in x]
    np.testing.assert_allclose(y, expected, atol=2e-6)


def test_every_activation_has_its_formula():
    assert set(FORMULAS) == set(activations.ACTIVATIONS)


def test_unknown_name():
    with pytest.raises(ValueError, match="activation='swish'"):
        activations.get("swish")
