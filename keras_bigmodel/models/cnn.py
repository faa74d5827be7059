"""Convolutional image classifier."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_bigmodel import layers
from keras_bigmodel.models.arguments import check_sizes
from keras_bigmodel.models.images import image_input


def cnn_classifier(
    image_shape: tuple[int | None, int | None, int],
    num_classes: int,
    filters: Sequence[int] = (32, 64),
    dense_units: int = 128,
    *,
    kernel_size: int | Sequence[int] = 3,
    residual: bool = False,
    blocks_per_stage: int = 1,
    pooling: str = "flatten",
    activation: str = "relu",
    normalization: str | None = "batch",
    dropout: float = 0.0,
    pixel_mean: float | Sequence[float] = 127.5,
    pixel_std: float | Sequence[float] = 127.5,
    dtype: Any = None,
    name: str = "cnn_classifier",
) -> keras.Model:
    """Builds a convolutional image classifier: plain, residual or inception.

    Each stage is a few blocks of convolutions and a pooling that halves height
    and width; a Dense layer with ReLU and one of logits follow. Images are
    given as they are, pixels from 0 to 255 as uint8 or as floats, and scaled
    inside the model; tell `pixel_mean` and `pixel_std` of another range (0.5
    and 0.5 for 0 to 1).

    Args:
        image_shape: Height, width and channels; height and width may be None
            with `pooling="average"`.
        num_classes: Number of classes.
        filters: Channels of each stage.
        dense_units: Width of the Dense layer; 0: no such layer.
        kernel_size: Height and width of the kernels; a sequence makes blocks
            of branches side by side, as in Inception.
        residual: Whether blocks have two convolutions and a shortcut.
        blocks_per_stage: Blocks before each pooling.
        pooling: What becomes of the last stage: "flatten", or the "average"
            over height and width.
        activation: As in `FeedForward`, after each convolution.
        normalization: "batch", "layer" or None, of the convolutions.
        dropout: Share dropped of each stage and of the Dense layer.
        pixel_mean: Subtracted from the pixels: a number, or one a channel.
        pixel_std: What they are then divided by.
        dtype: Dtype policy of all layers; default: Keras's.
        name: The model's name.

    Input shape:
        images: (batch, height, width, channels), uint8 or float.

    Output shape:
        Logits, (batch, num_classes).

    Raises:
        ValueError: If sizes are not positive, there is no stage, the number of
            kernel sizes does not divide the filters, or an option is unknown.

    Example:
    ```python
    import keras_bigmodel as kbm
    import numpy as np

    model = kbm.models.cnn_classifier((8, 8, 1), num_classes=10)
    images = np.zeros((2, 8, 8, 1), "uint8")
    model(images).shape  # (2, 10)
    ```

    References:
        LeCun et al. 1998, "Gradient-Based Learning Applied to Document
        Recognition", section 2; He et al. 2015, "Deep Residual Learning for
        Image Recognition", section 3; Szegedy et al. 2014, "Going Deeper with
        Convolutions", section 4.
    """
    check_sizes(
        num_classes=num_classes,
        dense_units=dense_units or None,
        blocks_per_stage=blocks_per_stage,
        filters=min(filters, default=0),
    )
    if pooling not in ("flatten", "average"):
        raise ValueError(
            '`pooling` must be "flatten" or "average". '
            f"Received: pooling={pooling!r}"
        )
    if pooling == "flatten" and None in image_shape:
        raise ValueError(
            'Images of any size need `pooling="average"`. '
            f"Received: image_shape={tuple(image_shape)}"
        )
    images, x = image_input(image_shape, pixel_mean, pixel_std, dtype)
    for stage, channels in enumerate(filters):
        for index in range(blocks_per_stage):
            x = layers.ConvBlock(
                channels,
                kernel_size=kernel_size,
                residual=residual,
                activation=activation,
                normalization=normalization,
                dropout=dropout if index == blocks_per_stage - 1 else 0.0,
                dtype=dtype,
                name=f"conv_block_{stage}_{index}",
            )(x)
        x = keras.layers.MaxPooling2D(
            padding="same", dtype=dtype, name=f"pooling_{stage}"
        )(x)
    if pooling == "flatten":
        x = keras.layers.Flatten(dtype=dtype, name="flatten")(x)
    else:
        x = keras.layers.GlobalAveragePooling2D(dtype=dtype, name="average")(x)
    if dense_units:
        x = keras.layers.Dense(
            dense_units, activation="relu", dtype=dtype, name="dense"
        )(x)
        if dropout:
            x = keras.layers.Dropout(dropout, dtype=dtype, name="dropout")(x)
    logits = keras.layers.Dense(num_classes, dtype=dtype, name="logits")(x)
    return keras.Model(images, logits, name=name)
