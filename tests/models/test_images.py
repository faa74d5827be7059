"""What image builders do before their first block."""

import numpy as np
import pytest

from keras_bigmodel.models.images import image_input


def test_images_keep_their_shape():
    images, x = image_input((8, None, 3), [1, 2, 3], 2.0, "float32")
    assert images.name == "images"
    assert images.shape == x.shape == (None, 8, None, 3)
    assert x.dtype == "float32"


@pytest.mark.parametrize(
    ("image_shape", "mean", "message"),
    [
        ((8, 8), 0.0, r"Received: image_shape=\(8, 8\)"),
        ((8, 0, 3), 0.0, "Received: width=0"),
        ((8, 8, 3), [1, 2], r"Received: mean=\[1, 2\]"),
    ],
)
def test_bad_arguments_are_refused(image_shape, mean, message):
    with pytest.raises(ValueError, match=message):
        image_input(image_shape, mean, 1.0, "float32")


def test_deviations_are_positive():
    with pytest.raises(ValueError, match="Received: std=0.0"):
        image_input((8, 8, 3), 0.0, 0.0, np.float32)
