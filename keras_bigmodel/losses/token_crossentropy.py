"""Cross-entropy over the tokens that count."""

from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class TokenCrossentropy(keras.losses.Loss):
    """Mean cross-entropy over the labels that are not ignored.

    With p = softmax(logits), label y and smoothing e, each label costs

        -(1 - e) log p[y] - e mean over classes of log p

    and the loss is the mean of that over all labels, weighted by the sample
    weights. Ignored labels, masked outputs and weights of 0 count neither
    above nor below the line, so that padding changes nothing; Keras's
    `SparseCategoricalCrossentropy` divides by all positions.

    Serves language models, token classifiers, span classifiers (labels are
    positions) and plain classifiers alike.

    Args:
        ignored_label: The label of positions that do not count; None: all
            labels are classes.
        label_smoothing: e, 0 to 1.
        name: The loss's name.
        dtype: Dtype of the result; default: Keras's.

    Call arguments:
        y_true: Labels, integers.
        y_pred: Logits; their last axis is the classes.
        sample_weight: Weights that broadcast to the labels, or None.

    Masking:
        The Keras mask of the logits is respected.

    Precision:
        Computed in float32 whatever the dtype of the logits.

    Raises:
        ValueError: If `label_smoothing` is not from 0 to below 1; if shapes do
            not fit; if a label is neither a class nor ignored. Inside a
            compiled function labels are known to the device alone: there a
            label outside the classes makes the loss NaN, on every device.

    Example:
    ```python
    import keras_bigmodel as kbm
    import numpy as np

    loss = kbm.losses.TokenCrossentropy(ignored_label=-100)
    labels, logits = np.array([[2, -100]]), np.zeros((1, 2, 5))
    loss(labels, logits)  # log 5 = 1.609
    ```

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 5.4 (label
        smoothing); Devlin et al. 2019, "BERT", section 3.1 (loss on some
        positions alone).
    """

    def __init__(
        self,
        ignored_label: int | None = None,
        label_smoothing: float = 0.0,
        name: str = "token_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` must be at least 0 and below 1. "
                f"Received: label_smoothing={label_smoothing}"
            )
        self.ignored_label = ignored_label
        self.label_smoothing = label_smoothing

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None
    ) -> Tensor:
        """Returns the weighted mean."""
        costs, weights = token_costs(
            y_true,
            y_pred,
            sample_weight,
            ignored_label=self.ignored_label,
            label_smoothing=self.label_smoothing,
        )
        total = ops.sum(weights)
        mean = ops.sum(costs * weights) / ops.where(total == 0, 1, total)
        return ops.cast(mean, self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "ignored_label": self.ignored_label,
            "label_smoothing": self.label_smoothing,
        }


def token_costs(
    labels: Tensor,
    logits: Tensor,
    sample_weight: Tensor | None = None,
    *,
    ignored_label: int | None = None,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Returns what each label costs in nats, and its weight, both float32.

    Args:
        labels: Integers, (...) or (..., 1).
        logits: (..., classes), with or without a Keras mask.
        sample_weight: Weights that broadcast to the labels.
        ignored_label: The label whose weight is 0.
        label_smoothing: As in `TokenCrossentropy`.

    Raises:
        ValueError: If shapes do not fit, or a label is neither a class nor
            ignored.
    """
    mask = getattr(logits, "_keras_mask", None)
    labels, counts = checked_labels(labels, logits.shape, ignored_label)
    logits = ops.cast(logits, "float32")
    largest = ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True))
    log_sum = ops.logsumexp(logits - largest, axis=-1)
    chosen = ops.take_along_axis(
        logits - largest, ops.maximum(labels, 0)[..., None], axis=-1
    )[..., 0]
    costs = log_sum - chosen
    if label_smoothing:
        spread = log_sum - ops.mean(logits - largest, axis=-1)
        costs = (1 - label_smoothing) * costs + label_smoothing * spread
    weights = ops.cast(counts, "float32")
    for factor in (mask, sample_weight):
        if factor is not None:
            weights = weights * broadcastable(factor, weights)
    # What does not count is taken out, so that its infinities do no harm.
    costs = ops.where(ops.logical_or(weights != 0, labels < 0), costs, 0.0)
    return ops.where(labels < 0, np.nan, costs), weights


def checked_labels(
    labels: Tensor, shape: tuple[int | None, ...], ignored_label: int | None
) -> tuple[Tensor, Tensor]:
    """Returns int32 labels, and True for those that count.

    Ignored labels become 0 and do not count; labels outside the classes become
    -1 and count, so that what is computed from them shows it.

    Args:
        labels: Integers, (...) or (..., 1).
        shape: Of the logits, (..., classes).
        ignored_label: The label of positions that do not count, or None.

    Raises:
        ValueError: If the shapes do not fit; if a label is neither a class nor
            ignored and its value is known now.
    """
    labels = ops.convert_to_tensor(labels)
    if len(labels.shape) == len(shape) and labels.shape[-1] == 1:
        labels = ops.squeeze(labels, axis=-1)
    pairs = zip(labels.shape, shape[:-1], strict=False)
    fits = len(labels.shape) == len(shape) - 1 and all(
        one == other or None in (one, other) for one, other in pairs
    )
    if not fits:
        raise ValueError(
            "Labels have the shape of the logits without the last axis, which "
            f"is the classes. Received: labels.shape={tuple(labels.shape)}, "
            f"logits.shape={tuple(shape)}"
        )
    labels = ops.cast(labels, "int32")
    counts = ops.ones_like(labels, dtype="bool")
    if ignored_label is not None:
        counts = labels != ignored_label
    known = ops.logical_and(labels >= 0, labels < shape[-1])
    wrong = ops.logical_and(counts, ops.logical_not(known))
    _say_wrong_labels(labels, wrong, shape[-1], ignored_label)
    return ops.where(wrong, -1, ops.where(counts, labels, 0)), counts


def _say_wrong_labels(
    labels: Tensor, wrong: Tensor, num_classes: int, ignored_label: int | None
) -> None:
    try:
        found = np.asarray(labels)[np.asarray(wrong)]
    except (NotImplementedError, TypeError, ValueError):
        return  # Traced: no values yet.
    if found.size:
        raise ValueError(
            f"Labels must be from 0 to {num_classes - 1}"
            + ("" if ignored_label is None else f", or {ignored_label}")
            + f". Received: labels={sorted(set(found.tolist()))[:10]}"
        )


def broadcastable(factor: Tensor, weights: Tensor) -> Tensor:
    """Returns a mask or weights as float32 with the rank of the labels.

    Args:
        factor: (batch, ...), of the labels' rank, of a lower one, or with a
            last axis of 1 more.
        weights: A tensor of the labels' shape.
    """
    factor = ops.cast(factor, "float32")
    if len(factor.shape) > len(weights.shape) and factor.shape[-1] == 1:
        factor = ops.squeeze(factor, axis=-1)
    missing = len(weights.shape) - len(factor.shape)
    return ops.reshape(factor, (*ops.shape(factor), *[1] * missing))
