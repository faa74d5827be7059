"""The learned position encoding."""

import keras
import numpy as np
import pytest

from keras_bigmodel.layers import DecodingScope
from keras_bigmodel.layers.positions import LearnedPositionEncoding
from tests.layer_checks import check_layer

X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


@pytest.mark.parametrize("offset", [0, 2])
def test_all_checks(offset):
    def reference(x, weights):
        return x + weights["embeddings"][None, offset : offset + 5]

    check_layer(
        LearnedPositionEncoding,
        {"max_sequence_length": 7, "offset": offset},
        X,
        (2, 5, 3),
        reference,
        stateful=True,
    )


def test_the_longest_sequence():
    layer = LearnedPositionEncoding(5)
    assert layer(X).shape == X.shape
    assert layer.embeddings.shape == (5, 3)
    layer = LearnedPositionEncoding(5, offset=2)
    layer.build(X.shape)
    assert layer.embeddings.shape == (7, 3)


def test_positions_choose_the_rows():
    layer = LearnedPositionEncoding(11)
    positions = np.array([[10, 0, 3, 3, 1]])
    y = layer(X, positions=positions)
    rows = np.asarray(layer.embeddings)[positions]
    np.testing.assert_allclose(y, X + rows, atol=1e-6)


def test_a_sequence_longer_than_the_table():
    message = "max_sequence_length=4, sequence=5"
    layer = LearnedPositionEncoding(max_sequence_length=4)
    with pytest.raises(ValueError, match=message):
        layer(X)
    with pytest.raises(ValueError, match=message):
        layer(keras.Input((5, 3)))


@pytest.mark.parametrize("position", [-1, 11])
def test_a_position_outside_the_table(position):
    layer = LearnedPositionEncoding(11, offset=2)
    positions = np.array([[0, 1, position, 3, 4]])
    message = r"max_sequence_length=11, positions from (-1 to 4|0 to 11)"
    with pytest.raises(ValueError, match=message):
        layer(X, positions=positions)


def test_decoding_past_the_table():
    layer, scope = LearnedPositionEncoding(4), DecodingScope(max_length=7)
    with scope:
        layer(X[:, :4])
    message = "max_sequence_length=4, positions from 4 to 4"
    with pytest.raises(ValueError, match=message), scope:
        layer(X[:, 4:])


def test_no_positions():
    with pytest.raises(ValueError, match="max_sequence_length=0"):
        LearnedPositionEncoding(0)
