"""Bits a language model needs for a byte of text."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_bigmodel.losses.token_crossentropy import (
    checked_labels,
    token_costs,
)

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class BitsPerByte(keras.metrics.Metric):
    """Cross-entropy in bits over the bytes that the labels stand for.

    Unlike perplexity it compares models of different vocabularies, and models
    with compressors: `gzip -9` needs about 2.3 bits for a byte of English.

    Args:
        token_bytes: How many bytes of text each token stands for, one number a
            token, 0 for special tokens; or one number for all, as the 1 of
            `ByteTokenizer`.
        ignored_label: The label of positions that do not count; None: all
            count.
        name: The metric's name.
        dtype: Dtype of the result.

    Call arguments:
        y_true: Labels, integers.
        y_pred: Logits; their last axis is the classes.
        sample_weight: Weights that broadcast to the labels, or None. In
            `fit` and `evaluate` Keras hands them to `weighted_metrics` alone.

    Masking:
        The Keras mask of the logits is respected.

    Raises:
        ValueError: As in `kbm.losses.TokenCrossentropy`; if `token_bytes` has
            not one number for each class.

    Example:
    ```python
    import keras_bigmodel as kbm
    import numpy as np

    metric = kbm.metrics.BitsPerByte()
    metric.update_state(np.array([[7, 11]]), np.zeros((1, 2, 256)))
    float(metric.result())  # 8.0
    ```

    References:
        Gao et al. 2020, "The Pile", section 3.1.
    """

    def __init__(
        self,
        token_bytes: Sequence[int] | int = 1,
        ignored_label: int | None = None,
        name: str = "bits_per_byte",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.token_bytes = token_bytes
        self.ignored_label = ignored_label
        self.bits = self.add_variable((), "zeros", name="bits")
        self.bytes = self.add_variable((), "zeros", name="bytes")

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None
    ) -> None:
        """Adds a batch."""
        costs, weights = token_costs(
            y_true, y_pred, sample_weight, ignored_label=self.ignored_label
        )
        lengths = self._lengths(y_true, y_pred.shape)
        self.bits.assign_add(ops.sum(costs * weights) / math.log(2))
        self.bytes.assign_add(ops.sum(lengths * weights))

    def _lengths(self, y_true: Tensor, shape: tuple[int | None, ...]) -> Any:
        if isinstance(self.token_bytes, int):
            return float(self.token_bytes)
        if len(self.token_bytes) != shape[-1]:
            raise ValueError(
                "`token_bytes` needs one number for each class. Received: "
                f"len(token_bytes)={len(self.token_bytes)}, "
                f"y_pred.shape={tuple(shape)}"
            )
        labels, _ = checked_labels(y_true, shape, self.ignored_label)
        table = ops.convert_to_tensor(self.token_bytes, dtype="float32")
        return ops.take(table, ops.maximum(labels, 0), axis=0)

    def result(self) -> Tensor:
        """Returns the bits for each byte, 0 when nothing was counted."""
        return ops.divide_no_nan(self.bits, self.bytes)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        token_bytes = self.token_bytes
        if not isinstance(token_bytes, int):
            token_bytes = list(token_bytes)
        return {
            **super().get_config(),
            "token_bytes": token_bytes,
            "ignored_label": self.ignored_label,
        }
