"""Attention with linear biases."""

import keras
import numpy as np
import pytest

from keras_bigmodel.layers import SelfAttention
from keras_bigmodel.layers.positions import ALiBiPositionEncoding
from tests.layer_checks import check_layer
from tests.layers.positions.hooked import Biased

# The geometric series of the paper; for 12 heads those of 8, then every other
# one of 16.
SLOPES = {
    1: [1 / 256],
    2: [1 / 16, 1 / 256],
    3: [1 / 16, 1 / 256, 1 / 4],
    5: [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2],
    8: [2.0**-n for n in range(1, 9)],
    12: [2.0**-n for n in (1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5)],
}


@pytest.mark.parametrize("num_heads", SLOPES)
def test_bias_is_slope_times_distance(num_heads):
    encoding = ALiBiPositionEncoding(num_heads)
    query, key = np.array([[3, 7]]), np.array([[0, 3, 5], [1, 2, 3]])
    bias = encoding.bias(query, key)
    distance = np.abs(query[:, :, None] - key[:, None, :])
    slopes = np.array(SLOPES[num_heads])[:, None, None]
    assert bias.shape == (2, num_heads, 2, 3)
    np.testing.assert_allclose(bias, -slopes * distance[:, None], rtol=1e-6)


def test_all_checks_of_an_attending_layer():
    x = np.random.default_rng(0).normal(size=(2, 7, 5)).astype("float32")

    def reference(x, weights):
        y = np.zeros_like(x)
        for head, slope in enumerate(SLOPES[5]):
            for q in range(7):
                for k in range(7):
                    y[:, q, head] -= slope * abs(q - k) * x[:, k, head]
        return y

    check_layer(
        Biased,
        {"encoding": ALiBiPositionEncoding(5), "num_heads": 5},
        x,
        (2, 7, 5),
        reference,
    )


def test_bias_stays_float32():
    encoding = ALiBiPositionEncoding(2, dtype="bfloat16")
    bias = encoding.bias(np.array([[1001]]), np.array([[0, 1]]))
    assert keras.backend.standardize_dtype(bias.dtype) == "float32"
    np.testing.assert_allclose(bias[0, 0, 0], [-1001 / 16, -1000 / 16])


def test_far_tokens_weigh_less_in_attention():
    attention = SelfAttention(
        num_heads=2, position_encoding=ALiBiPositionEncoding(2)
    )
    x = np.random.default_rng(0).normal(size=(1, 5, 6)).astype("float32")
    attention(x)
    for weight in attention.weights:
        if "query" in weight.path:
            weight.assign(0 * weight.value)
    changed = x.copy()
    moved = []
    for far in (3, 0):
        changed = x.copy()
        changed[0, far] += 1
        moved.append(np.abs(attention(changed) - attention(x))[0, 4].sum())
    assert moved[0] > moved[1] > 0


def test_no_heads():
    with pytest.raises(ValueError, match="num_heads=0"):
        ALiBiPositionEncoding(0)
