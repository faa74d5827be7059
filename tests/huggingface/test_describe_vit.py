"""From a Vision Transformer to its arguments."""

import keras
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.huggingface.describe_vit import describe_vit

pytestmark = pytest.mark.tensorflow


def test_arguments_come_back():
    options = {
        "image_shape": (12, 8, 3),
        "num_classes": 5,
        "patch_size": (3, 2),
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 8,
        "intermediate_dim": 7,
        "pixel_mean": [1.0, 2.0, 3.0],
        "pixel_std": [4.0, 5.0, 6.0],
    }
    found = describe_vit(kbm.models.vit_classifier(**options))
    for name, value in options.items():
        assert found[name] == value, name


def test_other_models():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="kbm.models.vit_classifier"):
        describe_vit(model)
