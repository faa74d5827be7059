"""Scaling of pixels."""

import numpy as np
import pytest

from keras_bigmodel.layers import PixelScaling
from tests.layer_checks import check_layer

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 5, 7, 3))


@pytest.mark.parametrize(
    "arguments",
    [{"mean": 127.5, "std": 63.0}, {"mean": [1, 2, 3], "std": [50, 7, 110]}],
)
def test_all_checks(arguments):
    def reference(x, weights):
        return (x - np.array(arguments["mean"])) / np.array(arguments["std"])

    check_layer(
        PixelScaling,
        arguments,
        IMAGES,
        IMAGES.shape,
        reference,
        sequence_axes=(1, 2),
        output_mask=None,
    )


def test_bytes_become_minus_one_to_one():
    images = np.array([0, 51, 255], "uint8").reshape(1, 1, 1, 3)
    found = PixelScaling()(images)
    np.testing.assert_allclose(found[0, 0, 0], [-1, -0.6, 1], atol=1e-6)


def test_other_channels_are_refused():
    layer = PixelScaling()
    layer(IMAGES)
    with pytest.raises(ValueError, match="have 3 channels.*Received: images"):
        layer(IMAGES[..., :1])


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"Received: mean=\[1, 2\], channels"):
        PixelScaling(mean=[1, 2])(IMAGES)
    with pytest.raises(ValueError, match=r"Received: std=\[1, 0, 1\]"):
        PixelScaling(std=[1, 0, 1])
