"""F1 of classified tokens."""

from typing import Any

import keras
from keras import ops

from keras_bigmodel.losses.token_crossentropy import (
    broadcastable,
    checked_labels,
)

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class TokenF1(keras.metrics.Metric):
    """F1 of a classifier, over the labels that are not ignored.

    For each class, with t right predictions, p predictions and a labels,

        F1 = 2 t / (p + a)

    "macro" is the mean over the classes that occur among labels or
    predictions, "micro" is F1 of the summed counts, which is the accuracy.

    Args:
        num_classes: Number of classes.
        ignored_label: The label of positions that do not count; None: all
            count.
        average: "macro", "micro", or None for one F1 a class.
        name: The metric's name.
        dtype: Dtype of the result.

    Call arguments:
        y_true: Labels, integers.
        y_pred: Logits or probabilities; their last axis is the classes.
        sample_weight: Where 0, a label does not count; other weights count
            as 1. In `fit` and `evaluate` Keras hands them to
            `weighted_metrics` alone.

    Masking:
        The Keras mask of the logits is respected.

    Raises:
        ValueError: If `num_classes` is not positive or not that of the
            logits, `average` is unknown, or a label is neither a class nor
            ignored. Inside a compiled function such a label counts as a wrong
            prediction; the loss shows it.

    Example:
    ```python
    import keras_bigmodel as kbm
    import numpy as np

    metric = kbm.metrics.TokenF1(num_classes=3, ignored_label=-100)
    metric.update_state(np.array([[0, 1, -100]]), np.eye(3)[None])
    float(metric.result())  # 1.0
    ```

    References:
        van Rijsbergen 1979, "Information Retrieval", chapter 7.
    """

    def __init__(
        self,
        num_classes: int,
        ignored_label: int | None = None,
        average: str | None = "macro",
        name: str = "token_f1",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if num_classes < 1:
            raise ValueError(
                "`num_classes` must be positive. "
                f"Received: num_classes={num_classes}"
            )
        if average not in ("macro", "micro", None):
            raise ValueError(
                '`average` must be "macro", "micro" or None. '
                f"Received: average={average!r}"
            )
        self.num_classes = num_classes
        self.ignored_label = ignored_label
        self.average = average
        self.right = self._counts("right")
        self.predicted = self._counts("predicted")
        self.actual = self._counts("actual")

    def _counts(self, name: str) -> Any:
        return self.add_variable((self.num_classes,), "zeros", name=name)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None
    ) -> None:
        """Adds a batch."""
        if y_pred.shape[-1] != self.num_classes:
            raise ValueError(
                "The predictions' last axis must be the classes. Received: "
                f"y_pred.shape={tuple(y_pred.shape)}, "
                f"num_classes={self.num_classes}"
            )
        labels, counts = checked_labels(
            y_true, y_pred.shape, self.ignored_label
        )
        counts = ops.cast(counts, "float32")
        for factor in (getattr(y_pred, "_keras_mask", None), sample_weight):
            if factor is not None:
                seen = broadcastable(factor, counts) != 0
                counts = counts * ops.cast(seen, "float32")
        counts = counts[..., None]
        actual = ops.one_hot(labels, self.num_classes) * counts
        predicted = (
            ops.one_hot(ops.argmax(y_pred, axis=-1), self.num_classes) * counts
        )
        axes = tuple(range(len(labels.shape)))
        self.actual.assign_add(ops.sum(actual, axis=axes))
        self.predicted.assign_add(ops.sum(predicted, axis=axes))
        self.right.assign_add(ops.sum(actual * predicted, axis=axes))

    def result(self) -> Tensor:
        """Returns F1, or one F1 a class."""
        both = self.predicted + self.actual
        if self.average == "micro":
            return ops.divide_no_nan(2 * ops.sum(self.right), ops.sum(both))
        each = ops.divide_no_nan(2 * self.right, both)
        if self.average is None:
            return each
        occurring = ops.sum(ops.cast(both > 0, each.dtype))
        return ops.divide_no_nan(ops.sum(each), occurring)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "ignored_label": self.ignored_label,
            "average": self.average,
        }
