"""One position bias for all attention layers of a model."""

from typing import Any

import keras
from keras import ops

from keras_bigmodel.layers import decoding
from keras_bigmodel.layers.parts import as_layer, build_part, part_config
from keras_bigmodel.layers.positions.base import PositionEncoding

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class SharedPositionBias(keras.layers.Layer):
    """Computes a position encoding's bias once, for layers to share.

    Its output goes into the `attention_bias` of every block, so that one table
    of weights serves them all, as in T5, and stays one when the model is saved
    and loaded.

    Args:
        encoding: A `PositionEncoding` that overrides `bias`.

    Call arguments:
        x: The sequence, for its length alone.

    Input shape:
        (batch, sequence, hidden_dim)

    Output shape:
        (1 or batch, heads, sequence, keys): keys are the sequence itself, or
        under a `DecodingScope` after the first step the slots of its caches.

    Masking:
        Dropped.

    Raises:
        ValueError: If the encoding biases no scores.

    Example:
    ```python
    import numpy as np

    import keras_bigmodel as kbm

    bias = kbm.layers.SharedPositionBias(
        kbm.layers.RelativePositionEncoding(num_heads=2)
    )
    bias(np.ones((1, 5, 8), "float32")).shape  # (1, 2, 5, 5)
    ```

    References:
        Raffel et al. 2020, "Exploring the Limits of Transfer Learning",
        section 2.1.
    """

    def __init__(self, encoding: PositionEncoding, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        encoding = as_layer(encoding)
        if type(encoding).bias is PositionEncoding.bias:
            raise ValueError(
                "The encoding must override `bias`. "
                f"Received: encoding={encoding}"
            )
        self.encoding = encoding
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the encoding."""
        build_part(self.encoding, input_shape)

    def call(self, x: Tensor) -> Tensor:
        """Returns the bias between the sequence and what it may see."""
        queries = keys = decoding.current_positions(x)
        scope = decoding.DecodingScope.current()
        if scope is not None and not scope.is_first_step:
            keys = ops.arange(scope.room, dtype="int32")[None, :]
        return self.encoding.bias(queries, keys)

    def compute_mask(self, x: Tensor, previous_mask: Any = None) -> None:
        """Returns None: scores have no padding of their own."""
        return None

    def compute_output_spec(self, x: Tensor) -> keras.KerasTensor:
        """Returns the bias outside a scope."""
        length = x.shape[1]
        shape = (1, self.encoding.num_heads, length, length)
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "encoding": part_config(self.encoding),
        }
