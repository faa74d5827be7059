"""The base of the position encodings."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel.layers import DecodingScope
from keras_bigmodel.layers.positions import PositionEncoding
from tests.layer_checks import check_layer

X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


class AddPosition(PositionEncoding):
    def embed(self, x, positions):
        return x + ops.cast(positions, x.dtype)[..., None]


def test_every_hook_does_nothing():
    check_layer(
        PositionEncoding, {}, X, X.shape, lambda x, weights: x, stateful=True
    )
    encoding, positions = PositionEncoding(), np.arange(5)[None]
    query, key = X[:, :, :, None], 2 * X[:, :, :, None]
    rotated = encoding.rotate(query, key, positions)
    assert rotated[0] is query
    assert rotated[1] is key
    assert encoding.bias(positions, positions) is None


def test_positions_default_to_those_of_the_sequence():
    y = AddPosition()(X)
    np.testing.assert_allclose(y, X + np.arange(5)[:, None])


def test_positions_default_to_those_of_the_scope():
    scope, encoding = DecodingScope(max_length=5), AddPosition()
    with scope:
        encoding(X[:, :2])
    with scope:
        y = encoding(X[:, 2:])
    np.testing.assert_allclose(y, X[:, 2:] + np.arange(2, 5)[:, None])


def test_positions_are_taken_as_given():
    positions = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    y = AddPosition()(X, positions=positions)
    np.testing.assert_allclose(y, X + positions[..., None])


def test_positions_may_be_an_input_of_a_model():
    x, positions = keras.Input((None, 3)), keras.Input((None,), dtype="int32")
    model = keras.Model([x, positions], AddPosition()(x, positions=positions))
    given = np.array([[3, 1, 4, 1, 5]] * 2)
    np.testing.assert_allclose(model([X, given]), X + given[..., None])


def test_positions_of_another_rank():
    with pytest.raises(ValueError, match=r"positions.shape=\(5,\)"):
        PositionEncoding()(X, positions=np.arange(5))
