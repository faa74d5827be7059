import keras
import numpy as np
import pytest

from keras_bigmodel.layers import FeedForward
from keras_bigmodel.layers.block import new_feed_forward, new_normalization
from tests.layer_case import to_numpy


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_normalisations_by_name(kind):
    x = np.random.default_rng(0).normal(2.0, 3.0, (2, 5, 7)).astype("float32")
    layer = new_normalization(kind, 0.5, name="norm")
    wide = x.astype("float64")
    if kind == "layer":
        wide = wide - wide.mean(axis=-1, keepdims=True)
    wide = wide / np.sqrt((wide**2).mean(axis=-1, keepdims=True) + 0.5)
    np.testing.assert_allclose(to_numpy(layer(x)), wide, atol=1e-5)
    assert layer.name == "norm"


def test_given_normalisations_are_copied():
    given = keras.layers.LayerNormalization(epsilon=0.25, center=False)
    copy = new_normalization(given, 1e-5, name="copy")
    assert copy is not given
    assert (copy.epsilon, copy.center, copy.name) == (0.25, False, "copy")


def test_other_normalisations_are_refused():
    with pytest.raises(ValueError, match="normalization='batch'"):
        new_normalization("batch", 1e-5)


def test_feed_forward_networks():
    made = new_feed_forward(
        None, intermediate_dim=5, activation="relu", gated=True, use_bias=False
    )
    assert (made.intermediate_dim, made.gated) == (5, True)
    given = FeedForward(3)
    assert new_feed_forward(given, intermediate_dim=None) is given
    for wrong in ((None, None), (given, 5)):
        with pytest.raises(ValueError, match="Give either `intermediate_dim`"):
            new_feed_forward(wrong[0], intermediate_dim=wrong[1])
