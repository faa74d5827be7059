import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from keras_bigmodel.export.guards import Limits
from tests.export.signatures.helpers import check_examples, serve


def cnn():
    return kbm.models.cnn_classifier((8, 6, 3), 3, (2,), dense_units=5)


def vit():
    return kbm.models.vit_classifier((8, 6, 3), 3, 2, 1, 2, 8)


@pytest.fixture(scope="module", params=[cnn, vit])
def served(request):
    model = request.param()
    limits = Limits(image_pixels=999)
    traced, signatures = serve(model, None, ["a", "b", "c"], limits=limits)
    return model, traced, signatures


def picture(height, width, channels=3):
    random = np.random.default_rng(height)
    return random.integers(256, size=(height, width, channels), dtype="uint8")


def test_examples(served):
    _, traced, signatures = served
    check_examples(traced, signatures)


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_files_answer_as_keras_reads_them(served, tmp_path, kind):
    model, traced, _ = served
    encode = {"png": tf.io.encode_png, "jpg": tf.io.encode_jpeg}[kind]
    (tmp_path / "class").mkdir()
    path = tmp_path / "class" / f"image.{kind}"
    path.write_bytes(encode(picture(13, 11)).numpy())
    dataset = keras.utils.image_dataset_from_directory(
        tmp_path,
        label_mode=None,
        image_size=(8, 6),
        batch_size=1,
        verbose=False,
    )
    (images,) = dataset
    expected = keras.ops.softmax(model(images))[0].numpy()
    answer = traced["serving_default"](
        image_bytes=tf.constant([path.read_bytes()])
    )
    np.testing.assert_allclose(
        answer["probabilities"][0], np.sort(expected)[::-1], atol=1e-5
    )


def test_a_grey_image_becomes_colour(served):
    _, traced, _ = served
    grey = tf.io.encode_png(picture(8, 6, 1))
    answer = traced["serving_default"](image_bytes=tf.stack([grey, grey]))
    assert answer["labels"].shape == (2, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "`image_bytes` is empty"),
        ([b""], "JPEG or a PNG"),
        ([b"GIF89a" + b"0" * 30], "JPEG or a PNG"),
        ([b"\x89PNG\r\n\x1a\n"], "JPEG or a PNG"),
        ([tf.io.encode_png(picture(40, 25)).numpy()], "40 x 25 pixels.*999"),
        ([tf.io.encode_jpeg(picture(25, 40)).numpy()], "25 x 40 pixels.*999"),
        ([tf.io.encode_png(picture(8, 6)).numpy()[:40]], "."),
        ([tf.io.encode_jpeg(picture(8, 6)).numpy()[:30]], "."),
    ],
)
def test_what_is_no_image_is_refused(served, data, message):
    _, traced, _ = served
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        traced["serving_default"](image_bytes=tf.constant(data, tf.string))


def test_the_size_must_be_known():
    model = kbm.models.cnn_classifier(
        (None, None, 3), 3, (2,), pooling="average"
    )
    with pytest.raises(ValueError, match="tell their size.*Received: input_sh"):
        serve(model, task="image_classifier")
