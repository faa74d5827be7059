"""From pixels as they are stored to numbers around zero."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class PixelScaling(keras.layers.Layer):
    """Scales pixels inside the model: y = (x - mean) / std.

    The defaults bring 0 to 255 to -1 to 1.

    Args:
        mean: A number, or one a channel.
        std: A number, or one a channel.

    Input shape:
        (batch, height, width, channels), of any number type.

    Output shape:
        The same.

    Precision:
        Computed in float32.

    Raises:
        ValueError: If mean and deviation do not fit the channels, a deviation
            is not positive, or an image has other channels than the layer was
            built for.

    Example:
    ```python
    import keras_bigmodel as kbm
    import numpy as np

    layer = kbm.layers.PixelScaling(mean=[124, 116, 104], std=[58, 57, 57])
    y = layer(np.zeros((2, 8, 8, 3), "uint8"))
    ```
    """

    def __init__(
        self,
        mean: float | Sequence[float] = 127.5,
        std: float | Sequence[float] = 127.5,
        **kwargs: Any,
    ) -> None:
        # 255 different pixels are more than some compute dtypes can tell.
        super().__init__(autocast=False, **kwargs)
        if not np.all(np.asarray(std) > 0):
            raise ValueError(f"`std` must be positive. Received: std={std}")
        self.mean = mean
        self.std = std

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Remembers the channels."""
        self._channels = input_shape[-1]
        for name in ("mean", "std"):
            value = getattr(self, name)
            if np.shape(value) not in ((), (self._channels,)):
                raise ValueError(
                    f"`{name}` must be a number, or one a channel. Received: "
                    f"{name}={value}, channels={self._channels}"
                )

    def call(self, x: Tensor) -> Tensor:
        """Returns the scaled pixels."""
        if x.shape[-1] != self._channels:
            raise ValueError(
                f"Images must have {self._channels} channels, on the last "
                f"axis. Received: images.shape={tuple(x.shape)}"
            )
        mean, std = (
            ops.convert_to_tensor(value, dtype="float32")
            for value in (self.mean, self.std)
        )
        y = (ops.cast(x, "float32") - mean) / std
        return ops.cast(y, self.compute_dtype)

    def compute_output_spec(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Returns x's shape in the compute dtype."""
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.pop("autocast", None)
        as_given = {
            name: value if isinstance(value, (int, float)) else list(value)
            for name, value in (("mean", self.mean), ("std", self.std))
        }
        return {**config, **as_given}
