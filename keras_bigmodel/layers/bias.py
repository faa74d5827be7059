"""A bias alone, for outputs whose product is another layer's."""

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class Bias(keras.layers.Layer):
    """Adds a trained vector to the last axis: y = x + b.

    Logits that share the table of a `TokenEmbedding` get their bias from it,
    as in BERT's masked language model and in BART.

    Args:
        bias_initializer: Of the vector.

    Input shape:
        (..., features)

    Output shape:
        (..., features)

    Masking:
        Passed on unchanged.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    logits = kbm.layers.Bias()(keras.Input((None, 100)))
    ```

    References:
        Devlin et al. 2019, "BERT", section 3.1, and its published code.
    """

    def __init__(self, bias_initializer: Any = "zeros", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the vector."""
        self.bias = self.add_weight(
            name="bias",
            shape=(input_shape[-1],),
            initializer=self.bias_initializer,
        )

    def call(self, x: Tensor) -> Tensor:
        """Returns x plus the vector."""
        return x + ops.cast(self.bias, x.dtype)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Returns `input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "bias_initializer": keras.initializers.serialize(
                self.bias_initializer
            ),
        }
