"""From a decoder-only model to its arguments."""

import keras
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.huggingface.describe_decoder import describe_decoder

pytestmark = pytest.mark.tensorflow


def test_arguments_come_back():
    options = {
        "head_dim": 6,
        "num_key_value_heads": 2,
        "normalize_branch": True,
        "normalize_embeddings": True,
        "parallel": False,
        "activation": "relu",
        "gated": True,
        "attention_scale": 0.5,
        "attention_soft_cap": 3.0,
        "sliding_window": [3, None],
        "tie_embeddings": False,
        "logit_soft_cap": 5.0,
        "pad_id": 1,
        "epsilon": 1e-3,
        "scale_embeddings": 2.5,
    }
    sizes = {
        "vocabulary_size": 11,
        "max_sequence_length": 7,
        "num_layers": 2,
        "num_heads": 4,
        "hidden_dim": 8,
        "intermediate_dim": 5,
    }
    found = describe_decoder(kbm.models.decoder_lm(**sizes, **options))
    for name, value in {**sizes, **options}.items():
        assert found[name] == value, name


def test_positions_of_each_kind():
    for kind, name in (
        ("learned", "LearnedPositionEncoding"),
        ("relative", "RelativePositionEncoding"),
        ("alibi", "ALiBiPositionEncoding"),
    ):
        model = kbm.models.decoder_lm(11, 7, 2, 2, 8, position_encoding=kind)
        encoding = describe_decoder(model)["position_encoding"]
        assert type(encoding).__name__ == name
    mixed = [None, "rotary"]
    model = kbm.models.decoder_lm(11, 7, 2, 2, 8, position_encoding=mixed)
    found = describe_decoder(model)["position_encoding"]
    assert found[0] is None
    assert isinstance(found[1], kbm.layers.RotaryPositionEncoding)


def test_other_models():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="no model of `kbm.models.decoder_lm`"):
        describe_decoder(model)
