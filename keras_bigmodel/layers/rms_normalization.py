"""Normalisation by the root of the mean square."""

from collections.abc import Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class RMSNormalization(keras.layers.RMSNormalization):
    """Keras's RMSNormalization, which moreover passes masks on.

        y = scale * x / sqrt(mean(x ** 2) + epsilon)

    Keras's own drops the mask that comes with its input, so that layers and
    losses behind it take padding for text.

    Args:
        axis: The axis, or the axes, that a mean is taken over.
        epsilon: Added to the mean square.
        **kwargs: Those of every layer.

    Input shape:
        (..., features)

    Output shape:
        (..., features)

    Masking:
        Passed on unchanged.

    Precision:
        The mean square is float32.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    token_ids = keras.Input((None,), dtype="int32")
    x = kbm.layers.TokenEmbedding(1_000, 64, pad_id=0)(token_ids)
    x = kbm.layers.RMSNormalization(epsilon=1e-5)(x)
    ```

    References:
        - Zhang & Sennrich 2019, Root Mean Square Layer Normalization, section
          4, https://arxiv.org/abs/1910.07467
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        # Keras makes a list of one axis, but only once the layer is built.
        axes = [axis] if isinstance(axis, int) else list(axis)
        super().__init__(axis=axes, epsilon=epsilon, **kwargs)
        self.supports_masking = True
