"""What the image builders do before their first block."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_bigmodel import layers
from keras_bigmodel.models.arguments import check_sizes

Tensor = Any


def image_input(
    image_shape: tuple[int | None, int | None, int],
    pixel_mean: float | Sequence[float],
    pixel_std: float | Sequence[float],
    dtype: Any,
) -> tuple[Tensor, Tensor]:
    """Returns the input `images` and its pixels, (pixel - mean) / std.

    Args:
        image_shape: Height, width and channels of an image.
        pixel_mean: Subtracted from the pixels: a number, or one a channel.
        pixel_std: What they are then divided by.
        dtype: Dtype policy.

    Raises:
        ValueError: If these are not three positive sizes, or mean and standard
            deviation do not fit the channels.
    """
    if len(image_shape) != 3:
        raise ValueError(
            "`image_shape` must be (height, width, channels). "
            f"Received: image_shape={tuple(image_shape)}"
        )
    names = ("height", "width", "channels")
    check_sizes(**dict(zip(names, image_shape, strict=True)))
    images = keras.Input(image_shape, name="images")
    scaled = layers.PixelScaling(
        pixel_mean, pixel_std, dtype=dtype, name="scaling"
    )
    return images, scaled(images)
