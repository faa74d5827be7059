"""From an encoder-decoder to its arguments."""

import keras
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.huggingface.describe_encoder_decoder import (
    describe_encoder_decoder,
)

pytestmark = pytest.mark.tensorflow


def test_arguments_come_back():
    options = {
        "source_vocabulary_size": 11,
        "target_vocabulary_size": 13,
        "max_sequence_length": 7,
        "num_layers": 2,
        "num_decoder_layers": 1,
        "num_heads": 2,
        "hidden_dim": 8,
        "intermediate_dim": 5,
        "tie_embeddings": False,
        "output_bias": True,
        "normalize_embeddings": True,
        "pad_id": 3,
    }
    model = kbm.models.encoder_decoder(**options)
    found = describe_encoder_decoder(model)
    for name, value in options.items():
        assert found[name] == value, name
    assert found["share_embeddings"] is False


def test_without_padding():
    model = kbm.models.encoder_decoder(11, 11, 7, 1, 2, 8)
    assert describe_encoder_decoder(model)["pad_id"] is None


def test_other_models():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="kbm.models.encoder_decoder"):
        describe_encoder_decoder(model)
