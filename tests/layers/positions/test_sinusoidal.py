"""The sinusoidal position encoding."""

import math

import numpy as np
import pytest

from keras_bigmodel.layers.positions import SinusoidalPositionEncoding
from tests.layer_checks import check_layer

X = np.random.default_rng(0).normal(size=(2, 5, 7)).astype("float32")


def wave(position, feature, hidden_dim, base):
    angle = position / base ** (feature // 2 * 2 / hidden_dim)
    return math.cos(angle) if feature % 2 else math.sin(angle)


def waves(length, hidden_dim, base=10000.0):
    return np.array(
        [
            [wave(p, i, hidden_dim, base) for i in range(hidden_dim)]
            for p in range(length)
        ]
    )


@pytest.mark.parametrize("hidden_dim", [7, 6])
def test_all_checks(hidden_dim):
    check_layer(
        SinusoidalPositionEncoding,
        {"base": 100.0},
        X[..., :hidden_dim],
        (2, 5, hidden_dim),
        lambda x, weights: x + waves(5, hidden_dim, 100.0),
        stateful=True,
    )


def test_sines_before_cosines():
    table = waves(5, 6)
    expected = np.concatenate([table[:, ::2], table[:, 1::2]], axis=-1)
    x = X[..., :6]
    y = SinusoidalPositionEncoding(interleaved=False)(x)
    np.testing.assert_allclose(y, x + expected, atol=1e-5)


def test_low_precision_keeps_far_positions_apart():
    x = np.zeros((1, 2, 6), "float32")
    positions = np.array([[1000, 1001]])
    y = SinusoidalPositionEncoding(dtype="bfloat16")(x, positions=positions)
    expected = waves(1002, 6)[1000:]
    np.testing.assert_allclose(
        np.asarray(y).astype("float32")[0], expected, atol=0.005
    )


def test_base_of_one():
    with pytest.raises(ValueError, match="base=1"):
        SinusoidalPositionEncoding(base=1)
