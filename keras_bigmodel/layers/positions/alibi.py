"""Attention with linear biases."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_bigmodel.layers.positions.base import PositionEncoding

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class ALiBiPositionEncoding(PositionEncoding):
    """Lowers the attention scores in proportion to the distance.

        bias[h, q, k] = -slope[h] * |q - k|

    For n heads, n a power of two, the slopes are 2 ** (-8 h / n), h = 1 ... n.
    For other numbers, those of the next lower power of two, then every other
    one of its double.

    Args:
        num_heads: the number of heads of the attention layer.

    Input shape:
        `bias` takes positions, (batch or 1, query sequence) and
        (batch or 1, key sequence).

    Output shape:
        (batch or 1, num_heads, query sequence, key sequence)

    Precision:
        The bias is float32.

    Raises:
        ValueError: if `num_heads` is not positive.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    x = keras.Input((None, 60))
    alibi = kbm.layers.ALiBiPositionEncoding(num_heads=6)
    y = kbm.layers.SelfAttention(num_heads=6, position_encoding=alibi)(x)
    ```

    References:
        - Press et al. 2021, Train Short, Test Long, section 3,
          https://arxiv.org/abs/2108.12409. The slopes of other numbers of heads
          are those of the authors' code; the absolute value makes the bias
          serve attention in both directions too.
    """

    def __init__(self, num_heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_heads < 1:
            raise ValueError(
                f"`num_heads` must be positive. Received: num_heads={num_heads}"
            )
        self.num_heads = num_heads

    def bias(self, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """Returns the distances times the slopes, negative."""
        distance = ops.abs(
            query_positions[:, None, :, None] - key_positions[:, None, None, :]
        )
        slopes = np.asarray(slopes_of(self.num_heads), "float32")
        return ops.cast(distance, "float32") * -slopes[:, None, None]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the layer."""
        return {**super().get_config(), "num_heads": self.num_heads}


def slopes_of(num_heads: int) -> list[float]:
    """Returns the slope of each head."""
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    if power < num_heads:
        slopes += slopes_of(2 * power)[::2][: num_heads - power]
    return slopes
