import keras
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.layers import (
    DecodingScope,
    RelativePositionEncoding,
    RotaryPositionEncoding,
    SharedPositionBias,
)
from tests.layer_case import to_numpy


def test_the_bias_is_the_encodings():
    encoding = RelativePositionEncoding(2, bidirectional=False)
    layer = SharedPositionBias(encoding)
    found = to_numpy(layer(np.ones((3, 5, 4), "float32")))
    places = np.arange(5)[None]
    np.testing.assert_array_equal(
        found, to_numpy(encoding.bias(places, places))
    )
    assert len(layer.weights) == 1


def test_later_steps_see_the_slots():
    layer = SharedPositionBias(RelativePositionEncoding(2))
    x = np.ones((1, 7, 4), "float32")
    whole = to_numpy(layer(x))
    scope = DecodingScope(max_length=7)
    with scope:
        first = to_numpy(layer(x[:, :3]))
    with scope:
        later = to_numpy(layer(x[:, 3:5]))
    np.testing.assert_array_equal(first, whole[:, :, :3, :3])
    np.testing.assert_array_equal(later, whole[:, :, 3:5])


def test_one_table_stays_one_when_saved(tmp_path):
    model = kbm.models.decoder_lm(7, 8, 3, 2, 4, position_encoding="relative")
    tables = [w for w in model.weights if "position" in w.path]
    assert len(tables) == 1
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert len(again.weights) == len(model.weights)
    token_ids = np.array([[1, 2, 3]])
    np.testing.assert_array_equal(
        to_numpy(again(token_ids)), to_numpy(model(token_ids))
    )


def test_other_encodings_are_refused():
    with pytest.raises(ValueError, match="must override `bias`"):
        SharedPositionBias(RotaryPositionEncoding())
