"""From a sequence of vectors to one vector."""

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class SequencePooling(keras.layers.Layer):
    """Makes one vector of a sequence: its mean or its first.

    Args:
        kind: "mean" over the visible positions, or "first", the vector of a
            class token.

    Input shape:
        (batch, sequence, features)

    Output shape:
        (batch, features)

    Masking:
        Consumed; a sequence with nothing visible gives zeros. "first" takes
        the first position whatever the mask.

    Precision:
        The mean is computed in float32.

    Raises:
        ValueError: If `kind` is another word.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    y = kbm.layers.SequencePooling("mean")(keras.Input((None, 64)))
    ```

    References:
        Devlin et al. 2019, "BERT", section 3 (first); Reimers & Gurevych 2019,
        "Sentence-BERT", section 3 (mean).
    """

    def __init__(self, kind: str = "mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kind not in ("mean", "first"):
            raise ValueError(
                f'`kind` must be "mean" or "first". Received: kind={kind!r}'
            )
        self.kind = kind
        self.supports_masking = True

    def call(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns one vector for each sequence."""
        if self.kind == "first":
            return x[:, 0]
        x = ops.cast(x, "float32")
        if mask is None:
            return ops.cast(ops.mean(x, axis=1), self.compute_dtype)
        visible = ops.cast(mask[:, :, None], "float32")
        count = ops.maximum(ops.sum(visible, axis=1), 1)
        mean = ops.sum(x * visible, axis=1) / count
        return ops.cast(mean, self.compute_dtype)

    def compute_mask(self, x: Tensor, previous_mask: Any = None) -> None:
        """Returns None: the sequence is gone."""
        return None

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Returns (batch, features)."""
        return (input_shape[0], input_shape[2])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "kind": self.kind}
