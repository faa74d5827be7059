"""Sinusoidal position encoding."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_bigmodel.layers.positions.base import PositionEncoding

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class SinusoidalPositionEncoding(PositionEncoding):
    """Adds sine waves of geometrically growing periods to the embeddings.

    With d for hidden_dim, position p gets at the features 2 i and 2 i + 1

        sin(p * base ** (-2 i / d)),  cos(p * base ** (-2 i / d))

    There is nothing to train and no longest text.

    Args:
        base: the longest period, in positions over 2 pi.
        interleaved: whether a sine and its cosine are neighbours, as in the
            paper, instead of all sines before all cosines, as in tensor2tensor
            and Marian.

    Call arguments:
        x: token embeddings.
        positions: int32 (batch or 1, sequence), the position of each token in
            its text. By default those of the active `DecodingScope`, and
            `0 ... sequence - 1` where there is none.

    Input shape:
        (batch, sequence, hidden_dim)

    Output shape:
        (batch, sequence, hidden_dim)

    Masking:
        Passed on unchanged.

    Precision:
        The waves are computed in float32, then cast to the dtype of `x`.

    Raises:
        ValueError: if `base` is not above 1.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    token_ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(1_000, 64)(token_ids)
    x = kbm.layers.SinusoidalPositionEncoding()(x)
    ```

    References:
        - Vaswani et al. 2017, Attention Is All You Need, section 3.5,
          https://arxiv.org/abs/1706.03762
    """

    def __init__(
        self, base: float = 10000.0, interleaved: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not base > 1:
            raise ValueError(f"`base` must be above 1. Received: base={base}")
        self.base = base
        self.interleaved = interleaved

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Returns `x` plus the waves at `positions`."""
        hidden_dim = x.shape[-1]
        frequencies = self.base ** -(np.arange(0, hidden_dim, 2) / hidden_dim)
        angles = ops.cast(positions, "float32")[..., None] * ops.cast(
            frequencies, "float32"
        )
        waves = [ops.sin(angles), ops.cos(angles)]
        if self.interleaved:
            waves = ops.stack(waves, axis=-1)
            shape = (*ops.shape(positions), 2 * len(frequencies))
            waves = ops.reshape(waves, shape)
        else:
            waves = ops.concatenate(waves, axis=-1)
        # An odd number of features leaves the last cosine out.
        return x + ops.cast(waves[..., :hidden_dim], x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "base": self.base,
            "interleaved": self.interleaved,
        }
