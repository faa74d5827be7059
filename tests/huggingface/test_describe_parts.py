"""From parts of a model to arguments."""

import keras
import pytest

from keras_bigmodel import layers
from keras_bigmodel.huggingface import describe_parts as parts

pytestmark = pytest.mark.tensorflow


def test_kinds_of_layers():
    one = layers.RMSNormalization(epsilon=1e-3, name="one")
    same = layers.RMSNormalization(epsilon=1e-3, name="other", dtype="float16")
    other = layers.RMSNormalization(epsilon=1e-4)
    assert parts.kind_of(one) == parts.kind_of(same) != parts.kind_of(other)
    assert parts.kind_of(None) is None


def test_defaults_are_worked_out():
    attention = layers.SelfAttention(4)
    found = parts.describe_attention(attention, 12)
    assert found["head_dim"] == 3
    assert found["attention_scale"] == 3**-0.5
    assert found["num_key_value_heads"] == 4


def test_scales_of_embeddings():
    for scale, factor in ((False, 1), (True, 4), (2.5, 2.5)):
        embedding = layers.TokenEmbedding(5, 16, scale=scale)
        assert parts.describe_scale(embedding) == factor


def test_blocks_that_differ():
    assert parts.alike([3, 3], "option") == 3
    with pytest.raises(ValueError, match=r"option=\[3, 5\]"):
        parts.alike([3, 5], "option")


def test_other_feed_forward_networks():
    with pytest.raises(ValueError, match="Received: feed_forward="):
        parts.describe_feed_forward(keras.layers.Dense(3))
