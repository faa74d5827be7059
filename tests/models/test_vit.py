"""The Vision Transformer."""

import keras
import numpy as np
import pytest

from keras_bigmodel import models
from keras_bigmodel.layers import AttentionRecorder

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
SIZES = (5, 4, 1, 2, 8)


def build(image_shape=(8, 8, 3), **options):
    return models.vit_classifier(image_shape, *SIZES, **options)


def test_layers_are_those_asked_for():
    model = build(dropout=0.1)
    assert [layer.name for layer in model.layers] == [
        "images",
        "scaling",
        "patch_embedding",
        "dropout",
        "encoder_block_0",
        "final_normalization",
        "pooled",
        "logits",
    ]


def test_mean_pooling_has_no_class_token():
    with_token, without = build(), build(pooling="mean")
    assert with_token.count_params() - without.count_params() == 2 * 8


def test_both_tokens_have_logits_of_their_own(tmp_path):
    model = build(pooling="both", distillation_token=True)
    logits = model(IMAGES)
    assert logits.shape == (2, 5)
    model.get_layer("distillation_logits").bias.assign_add(np.ones(5))
    np.testing.assert_allclose(model(IMAGES), logits + 0.5, atol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(IMAGES), model(IMAGES))


def test_fine_tuning_on_larger_images():
    small = build()
    large = build((16, 12, 3), position_shape=(8, 8))
    large.set_weights(small.get_weights())
    images = np.zeros((2, 16, 12, 3), "uint8")
    assert large(images).shape == (2, 5)
    # At the old size nothing has changed.
    any_size = build((None, None, 3), position_shape=(8, 8))
    any_size.set_weights(small.get_weights())
    np.testing.assert_allclose(any_size(IMAGES), small(IMAGES), atol=1e-5)
    np.testing.assert_allclose(any_size(images), large(images), atol=1e-5)


def test_attention_can_be_looked_at():
    model = build()
    with AttentionRecorder() as recorder:
        model(IMAGES)
    (attention,) = recorder.probabilities.values()
    assert attention.shape == (2, 2, 5, 5)  # the class token and four patches


def test_bytes_and_floats_are_the_same_images():
    model = build(pixel_mean=[124, 116, 104], pixel_std=[58, 57, 57])
    np.testing.assert_array_equal(
        model(IMAGES), model(IMAGES.astype("float32"))
    )


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (((8, 8, 3), 5, 4, 0, 2, 8), {}, "Received: num_layers=0"),
        (((8, 8, 3), 0, 4, 1, 2, 8), {}, "Received: num_classes=0"),
        (((8, 8, 3), 5, 4, 1, 3, 8), {}, "num_heads=3, hidden_dim=8"),
        (((8, 8, 3), 5, 3, 1, 2, 8), {}, "Patches must divide the image"),
        (((8, 8, 3), 5, 0, 1, 2, 8), {}, "patch_size=0"),
        (((8, 8), 5, 4, 1, 2, 8), {}, "Received: image_shape"),
        (((None, None, 3), *SIZES), {}, "give `image_shape`"),
        (((8, 8, 3), *SIZES), {"pooling": "max"}, "pooling='max'"),
        (((8, 8, 3), *SIZES), {"pooling": "both"}, "distillation_token=False"),
        (
            ((8, 8, 3), *SIZES),
            {"pooling": "mean", "distillation_token": True},
            "distillation_token=True",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        models.vit_classifier(*arguments, **options)


@pytest.mark.parametrize("images", [IMAGES[:, :4], IMAGES[0], IMAGES[..., :1]])
def test_images_of_another_shape_are_refused(images):
    with pytest.raises(ValueError, match="found shape=|Received: images.shape"):
        build()(images)
