"""From a word to a position encoding."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel import layers
from keras_bigmodel.models.position_choice import PositionChoice

X = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")


def choice(kind, causal=True):
    return PositionChoice(
        kind, max_sequence_length=7, num_heads=2, causal=causal, name="mine"
    )


@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
def test_embedded_positions_are_added_to_the_embeddings(kind):
    positions = choice(kind)
    assert positions.for_attention(0) is None
    assert positions.shared_bias(X) is None
    embedded = ops.convert_to_numpy(positions.embed(X))
    assert np.abs(embedded - X).max() > 0.001
    at = positions.embed(X, np.array([[2, 2, 2, 2, 2]]))
    difference = ops.convert_to_numpy(at) - X
    np.testing.assert_allclose(difference[:, 0], difference[:, 4], atol=1e-6)


@pytest.mark.parametrize("kind", ["rotary", "alibi"])
def test_others_go_into_each_attention(kind):
    positions = choice(kind)
    first, second = positions.for_attention(0), positions.for_attention(1)
    assert first is not second
    assert isinstance(first, layers.PositionEncoding)
    assert positions.embed(X) is X
    assert positions.shared_bias(X) is None


@pytest.mark.parametrize("causal", [True, False])
def test_relative_positions_are_one_table_that_blocks_share(causal):
    positions = choice("relative", causal)
    assert positions.for_attention(0) is None
    bias = positions.shared_bias(keras.Input((5, 8)))
    assert bias.shape == (1, 2, 5, 5)
    assert positions.encoding.bidirectional is not causal


def test_none_is_none():
    positions = choice(None)
    assert positions.embed(X) is X
    assert positions.for_attention(0) is None
    assert positions.shared_bias(X) is None


def test_a_layer_is_copied():
    given = layers.LearnedPositionEncoding(7, offset=2, name="given")
    encoding = choice(given).encoding
    assert encoding is not given
    assert (encoding.name, encoding.offset) == ("mine", 2)


def test_a_relative_layer_looks_as_the_attention_does():
    given = layers.RelativePositionEncoding(2, num_buckets=16)
    assert choice(given, causal=True).encoding.bidirectional is False
    assert choice(given, causal=False).encoding.bidirectional is True
    assert choice(given).encoding.num_buckets == 16


def test_blocks_may_differ():
    positions = choice(["rotary", None, "alibi"])
    made = [positions.for_attention(index) for index in range(3)]
    assert made[1] is None
    assert type(made[0]).__name__.startswith("Rotary")
    assert type(made[2]).__name__.startswith("ALiBi")
    positions.check_blocks(3)
    with pytest.raises(ValueError, match="Received: entries=3, num_layers=2"):
        positions.check_blocks(2)


@pytest.mark.parametrize("kind", ["learned", "relative"])
def test_blocks_cannot_differ_outside_their_attention(kind):
    with pytest.raises(ValueError, match="Received: position_encoding=mine"):
        choice(["rotary", kind])


@pytest.mark.parametrize("kind", ["rope", 3, keras.layers.Dense(8)])
def test_anything_else_is_refused(kind):
    with pytest.raises(ValueError, match="`PositionEncoding`, or None. Rec"):
        choice(kind)
