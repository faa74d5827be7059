"""From an encoder and its head to the arguments."""

import keras
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.huggingface.describe_encoder import describe_encoder

pytestmark = pytest.mark.tensorflow

OPTIONS = {
    "vocabulary_size": 11,
    "max_sequence_length": 7,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 5,
    "embedding_dim": 6,
    "num_segments": 3,
    "pad_id": 1,
    "normalize_embeddings": True,
    "normalize_first": False,
}


@pytest.mark.parametrize(
    ("head", "num_classes"),
    [
        (None, None),
        ("masked_lm", None),
        ("text_classifier", 3),
        ("token_classifier", 5),
        ("span_classifier", 2),
    ],
)
def test_arguments_come_back(head, num_classes):
    model = kbm.models.encoder(**OPTIONS)
    if head in ("text_classifier", "token_classifier"):
        model = getattr(kbm.models, head)(model, num_classes)
    elif head:
        model = getattr(kbm.models, head)(model)
    found = describe_encoder(model)
    for name, value in OPTIONS.items():
        assert found[name] == value, name
    assert found["head"] == head
    assert found["num_classes"] == num_classes


def test_other_models():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="no model of `kbm.models.encoder`"):
        describe_encoder(model)
