"""Perplexity of a language model."""

from typing import Any

import keras
from keras import ops

from keras_bigmodel.losses.token_crossentropy import token_costs

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class Perplexity(keras.metrics.Metric):
    """exp of the mean cross-entropy over the labels that are not ignored.

    The mean is over all tokens since the last reset, not over batches.

    Args:
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
        ValueError: As in `kbm.losses.TokenCrossentropy`.

    Example:
    ```python
    import keras_bigmodel as kbm

    model = kbm.models.decoder_lm(100, 32, 2, 2, 16)
    model.compile("adam", kbm.losses.TokenCrossentropy(),
                  weighted_metrics=[kbm.metrics.Perplexity()])
    ```

    References:
        Jelinek et al. 1977, "Perplexity: a measure of the difficulty of speech
        recognition tasks".
    """

    def __init__(
        self,
        ignored_label: int | None = None,
        name: str = "perplexity",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.ignored_label = ignored_label
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None
    ) -> None:
        """Adds a batch."""
        costs, weights = token_costs(
            y_true, y_pred, sample_weight, ignored_label=self.ignored_label
        )
        self.total.assign_add(ops.sum(costs * weights))
        self.count.assign_add(ops.sum(weights))

    def result(self) -> Tensor:
        """Returns the perplexity, 1 when nothing was counted."""
        return ops.exp(ops.divide_no_nan(self.total, self.count))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "ignored_label": self.ignored_label}
