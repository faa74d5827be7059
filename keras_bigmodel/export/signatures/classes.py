"""Classes by name and probability: what classifiers answer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops


class Classes:
    """Names a classifier's classes and puts them in order.

    Args:
        labels: A name for each class; None: their numbers.
        num_classes: Number of classes.

    Raises:
        ValueError: If there are more or fewer names than classes, or two are
            the same.
    """

    def __init__(self, labels: Sequence[str] | None, num_classes: int) -> None:
        if labels is None:
            labels = [str(index) for index in range(num_classes)]
        if len(labels) != num_classes or len(set(labels)) != num_classes:
            raise ValueError(
                f"`labels` must name each of the {num_classes} classes once. "
                f"Received: labels={list(labels)!r:.500}"
            )
        self.labels = list(labels)

    def best(self, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the most probable class's name, and its probability.

        Args:
            logits: (..., num_classes).
        """
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float32))
        best = tf.argmax(probabilities, axis=-1)
        names = tf.gather(tf.constant(self.labels), best)
        return names, tf.reduce_max(probabilities, axis=-1)

    def ranked(self, logits: tf.Tensor, top_k: int) -> dict[str, tf.Tensor]:
        """Returns the first classes, the most probable one first.

        Args:
            logits: (B, num_classes).
            top_k: How many.
        """
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float32))
        top_k = min(top_k, len(self.labels))
        first, index = tf.math.top_k(probabilities, top_k)
        return {
            "labels": tf.gather(tf.constant(self.labels), index),
            "probabilities": first,
        }

    def expect(self, logits: Any, top_k: int) -> dict[str, np.ndarray]:
        """Returns what `ranked` must give for logits computed in memory.

        Args:
            logits: (B, num_classes).
            top_k: How many.
        """
        probabilities = ops.convert_to_numpy(
            ops.softmax(ops.cast(logits, "float32"), axis=-1)
        )
        index = np.argsort(-probabilities, axis=-1, kind="stable")[:, :top_k]
        names = np.array([name.encode() for name in self.labels], object)
        return {
            "labels": names[index],
            "probabilities": np.take_along_axis(probabilities, index, axis=-1),
        }
