"""Signatures of an image classifier: a JPEG or PNG in, labels out."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bigmodel.export.guards import Limits, after, require
from keras_bigmodel.export.signatures.classes import Classes
from keras_bigmodel.export.signatures.signature import Signature

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
IMAGES = {"image_bytes": tf.TensorSpec([None], tf.string)}


class ImageClassifier:
    """What a served image classifier offers.

    Images are decoded and resized as `keras.utils.image_dataset_from_directory`
    does; the model scales the pixels.

    Args:
        model: From images, (batch, height, width, channels), to logits.
        labels: Names of the classes; None: their numbers.
        limits: Sizes that are answered.
        top_k: How many classes an answer holds.

    Raises:
        ValueError: If the model does not tell the images' size.
    """

    def __init__(
        self,
        model: keras.Model,
        labels: Sequence[str] | None,
        limits: Limits,
        top_k: int,
    ) -> None:
        self._model = model
        self._shape = tuple(model.input_shape[1:])
        if None in self._shape or self._shape[2] not in (1, 3, 4):
            raise ValueError(
                "To serve images, a model must tell their size and have 1, 3 "
                f"or 4 channels. Received: input_shape={model.input_shape}"
            )
        self._limits = limits
        self._classes = Classes(labels, int(model.output_shape[-1]))
        self._top_k = top_k

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures by name."""
        height, width, channels = self._shape
        # One of the right size, so that the answer is known without resizing.
        random = np.random.default_rng(0)
        image = random.integers(256, size=self._shape, dtype="uint8")
        encoded = tf.io.encode_png(image).numpy()
        arrays = {"images": image[None].astype("float32")}
        return {
            "serving_default": Signature(
                self._serve,
                IMAGES,
                lambda: [{"image_bytes": [encoded]}],
                lambda example: self._expect(arrays["images"]),
            ),
            "predict": Signature(
                self._predict,
                {"images": tf.TensorSpec([None, height, width, channels])},
                lambda: [arrays],
                lambda example: self._expect(example["images"]),
            ),
        }

    def _serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        image_bytes = tf.ensure_shape(image_bytes, [None])
        some = require(
            tf.size(image_bytes) > 0, "`image_bytes` is empty: give images"
        )
        image_bytes = after([some], image_bytes)
        images = tf.map_fn(
            self._read,
            image_bytes,
            fn_output_signature=tf.TensorSpec(self._shape, tf.float32),
        )
        return self._predict(images)

    def _predict(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.ensure_shape(images, [None, *self._shape])
        logits = self._model(images, training=False)
        return self._classes.ranked(logits, self._top_k)

    def _read(self, data: tf.Tensor) -> tf.Tensor:
        """Decodes and resizes one image, if it is not too large."""
        is_jpeg = tf.strings.substr(data, 0, len(_JPEG)) == _JPEG
        is_png = tf.strings.substr(data, 0, len(_PNG)) == _PNG
        is_png &= tf.strings.length(data) >= 24
        known = require(is_jpeg | is_png, "An image must be a JPEG or a PNG")
        data = after([known], data)
        height, width = tf.cond(
            is_jpeg, lambda: _jpeg_size(data), lambda: _png_size(data)
        )
        most = self._limits.image_pixels
        fits = require(
            (height > 0) & (width > 0) & (height * width <= most),
            "An image has ",
            height,
            " x ",
            width,
            f" pixels; this model takes {most} pixels at most",
        )
        image = tf.io.decode_image(
            after([fits], data), self._shape[2], expand_animations=False
        )
        return tf.image.resize(image, self._shape[:2])

    def _expect(self, images: np.ndarray) -> dict[str, Any]:
        logits = self._model(images, training=False)
        return self._classes.expect(logits, self._top_k)


def _jpeg_size(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    shape = tf.cast(tf.image.extract_jpeg_shape(data), tf.int64)
    return shape[0], shape[1]


def _png_size(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads the header that every PNG begins with."""
    header = tf.strings.substr(data, 16, 8)
    size = tf.io.decode_raw(header, tf.int32, little_endian=False)
    return tf.cast(size[1], tf.int64), tf.cast(size[0], tf.int64)
