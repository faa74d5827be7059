"""The convolutional classifier."""

import keras
import numpy as np
import pytest

from keras_bigmodel import losses, models

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")


def test_layers_are_those_asked_for():
    model = models.cnn_classifier(
        (8, 8, 3), 5, (4, 6), 7, blocks_per_stage=2, dropout=0.1
    )
    assert [layer.name for layer in model.layers] == [
        "images",
        "scaling",
        "conv_block_0_0",
        "conv_block_0_1",
        "pooling_0",
        "conv_block_1_0",
        "conv_block_1_1",
        "pooling_1",
        "flatten",
        "dense",
        "dropout",
        "logits",
    ]
    assert model.get_layer("conv_block_0_0").dropout == 0
    assert model.get_layer("conv_block_0_1").dropout == 0.1


def test_plain_count():
    model = models.cnn_classifier((8, 8, 3), 5, (4, 6), 7, normalization=None)
    convolutions = (27 * 4 + 4) + (36 * 6 + 6)
    dense = (2 * 2 * 6) * 7 + 7
    assert model.count_params() == convolutions + dense + 7 * 5 + 5


def test_residual_and_inception_blocks():
    model = models.cnn_classifier(
        (8, 8, 3), 5, (6,), 0, kernel_size=(1, 3, 5), residual=True
    )
    block = model.get_layer("conv_block_0_0")
    assert block.residual and block.kernel_size == [1, 3, 5]
    assert model(IMAGES).shape == (2, 5)


def test_bytes_and_floats_are_the_same_images():
    model = models.cnn_classifier((8, 8, 3), 5, (4,), 7)
    expected = model(IMAGES)
    np.testing.assert_array_equal(model(IMAGES.astype("float32")), expected)
    # 0 to 1 is another range, which the model is told of.
    other = models.cnn_classifier(
        (8, 8, 3), 5, (4,), 7, pixel_mean=0.5, pixel_std=0.5
    )
    other.set_weights(model.get_weights())
    found = other(IMAGES.astype("float32") / 255)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_images_of_any_size():
    model = models.cnn_classifier(
        (None, None, 3), 5, (4,), 7, pooling="average"
    )
    assert model(IMAGES).shape == model(IMAGES[:, :5, :7]).shape == (2, 5)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (((8, 8), 5), {}, "Received: image_shape"),
        (((8, 8, 3), 0), {}, "Received: num_classes=0"),
        (((8, 8, 3), 5, ()), {}, "Received: filters=0"),
        (((8, 8, 3), 5, (4, 0)), {}, "Received: filters=0"),
        (((8, 8, 3), 5), {"kernel_size": (1, 3, 5)}, "Received: filters=32"),
        (((8, 8, 3), 5), {"pooling": "max"}, "Received: pooling='max'"),
        (((None, 8, 3), 5), {}, r"Received: image_shape=\(None"),
        (((8, 8, 3), 5), {"blocks_per_stage": 0}, "blocks_per_stage=0"),
        (((8, 8, 3), 5), {"normalization": "rms"}, "normalization='rms'"),
        (((8, 8, 3), 5), {"activation": "swish"}, "activation='swish'"),
    ],
)
def test_bad_arguments_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        models.cnn_classifier(*arguments, **options)


@pytest.mark.parametrize(
    "images",
    [IMAGES[:, :7], IMAGES[0], IMAGES[..., :2], IMAGES[..., :1]],
    ids=["height", "rank", "two channels", "one channel"],
)
def test_images_of_another_shape_are_refused(images):
    model = models.cnn_classifier((8, 8, 3), 5, (4,), 7)
    with pytest.raises(ValueError, match="found shape=|Received: images.shape"):
        model(images)


def test_images_that_are_no_numbers_are_refused():
    model = models.cnn_classifier((8, 8, 3), 5, (4,), 7)
    with pytest.raises(ValueError, match="could not convert string to float"):
        model(np.full((2, 8, 8, 3), "red"))


def test_labels_outside_the_classes_make_training_nan():
    model = models.cnn_classifier((8, 8, 3), 5, (4,), 7)
    model.compile("sgd", losses.TokenCrossentropy())
    stop = keras.callbacks.TerminateOnNaN()
    history = model.fit(IMAGES, np.array([4, 5]), callbacks=[stop], verbose=0)
    assert np.isnan(history.history["loss"][0])
