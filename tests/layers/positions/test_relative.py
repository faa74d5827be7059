"""Relative position buckets."""

import fractions
import math

import keras
import numpy as np
import pytest

from keras_bigmodel.layers import SelfAttention
from keras_bigmodel.layers.positions import RelativePositionEncoding
from tests.layer_checks import check_layer
from tests.layers.positions.hooked import Biased


def bucket(offset, bidirectional, num_buckets, max_distance):
    """The bucket of one offset, key - query, from the paper's words."""
    first = 0
    if bidirectional:
        num_buckets //= 2
        first = num_buckets if offset > 0 else 0
        distance = abs(offset)
    else:
        distance = max(-offset, 0)
    single = num_buckets // 2
    if distance < single:
        return first + distance
    # The widest w with single * ratio ** (w / wide) <= distance, exactly.
    wide = num_buckets - single
    ratio = fractions.Fraction(max_distance, single)
    reached = fractions.Fraction(distance, single) ** wide
    w = 0
    while w + 1 < wide and reached >= ratio ** (w + 1):
        w += 1
    return first + single + w


@pytest.mark.parametrize(
    ("bidirectional", "num_buckets", "max_distance"),
    [(True, 32, 128), (False, 32, 128), (True, 8, 17), (False, 7, 29)],
)
def test_buckets(bidirectional, num_buckets, max_distance):
    encoding = RelativePositionEncoding(
        1, bidirectional, num_buckets, max_distance
    )
    encoding.build()
    encoding.embeddings.assign(np.arange(float(num_buckets))[:, None])
    reach = 2 * max_distance
    positions = np.arange(2 * reach + 1)[None]
    found = encoding.bias(np.array([[reach]]), positions)[0, 0, 0]
    expected = [
        bucket(offset, bidirectional, num_buckets, max_distance)
        for offset in range(-reach, reach + 1)
    ]
    np.testing.assert_array_equal(found, expected)


def test_buckets_of_t5():
    encoding = RelativePositionEncoding(1)
    encoding.build()
    encoding.embeddings.assign(np.arange(32.0)[:, None])
    offsets = np.array([[-200, -128, -64, -32, -16, -8, -1, 0, 1, 8, 11, 200]])
    found = encoding.bias(np.array([[0]]), offsets)[0, 0, 0]
    expected = [15, 15, 14, 12, 10, 8, 1, 0, 17, 24, 24, 31]
    np.testing.assert_array_equal(found, expected)
    assert math.log(11 / 8) / math.log(128 / 8) * 8 < 1


@pytest.mark.parametrize("bidirectional", [True, False])
def test_all_checks_of_an_attending_layer(bidirectional):
    x = np.random.default_rng(0).normal(size=(2, 7, 5)).astype("float32")

    def reference(x, weights):
        (table,) = weights.values()
        y = np.zeros_like(x)
        for q in range(7):
            for k in range(7):
                row = table[bucket(k - q, bidirectional, 8, 5)]
                y[:, q] += row * x[:, k]
        return y

    encoding = RelativePositionEncoding(5, bidirectional, 8, 5)
    check_layer(
        Biased,
        {"encoding": encoding, "num_heads": 5},
        x,
        (2, 7, 5),
        reference,
    )


def test_two_layers_train_one_table():
    relative = RelativePositionEncoding(2)
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
    layers = [SelfAttention(2, position_encoding=relative) for _ in range(2)]
    before = [np.asarray(layer(x)) for layer in layers]
    relative.embeddings.assign(np.arange(64.0).reshape(32, 2))
    for layer, y in zip(layers, before, strict=True):
        assert np.abs(layer(x) - y).max() > 0.01


def test_bias_stays_float32():
    encoding = RelativePositionEncoding(2, dtype="bfloat16")
    encoding.build()
    bias = encoding.bias(np.array([[1]]), np.array([[0, 1]]))
    assert keras.backend.standardize_dtype(bias.dtype) == "float32"


def test_no_heads():
    with pytest.raises(ValueError, match="num_heads=0"):
        RelativePositionEncoding(0)


@pytest.mark.parametrize(
    ("bidirectional", "num_buckets", "max_distance"),
    [(True, 3, 128), (False, 1, 128), (True, 32, 8)],
)
def test_no_room_for_single_distances(bidirectional, num_buckets, max_distance):
    message = f"num_buckets={num_buckets}, max_distance={max_distance}"
    with pytest.raises(ValueError, match=message):
        RelativePositionEncoding(2, bidirectional, num_buckets, max_distance)
