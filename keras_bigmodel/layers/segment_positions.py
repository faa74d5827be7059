"""Positions within the documents of packed rows."""

from typing import Any

import keras

from keras_bigmodel.layers import masks

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class SegmentPositions(keras.layers.Layer):
    """Counts positions anew from each document of a packed row.

    Call arguments:
        segment_ids: Document numbers, equal within a document and different
            between neighbours.

    Input shape:
        Integers, (batch, sequence)

    Output shape:
        int32, (batch, sequence)

    Example:
    ```python
    import numpy as np

    import keras_bigmodel as kbm

    segment_ids = np.array([[1, 1, 1, 2, 2]])
    kbm.layers.SegmentPositions()(segment_ids)  # [[0, 1, 2, 0, 1]]
    ```

    References:
        Krell et al. 2021, "Efficient Sequence Packing without
        Cross-contamination", section 3.2.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)

    def call(self, segment_ids: Tensor) -> Tensor:
        """Returns each token's position in its document."""
        return masks.segment_positions(segment_ids)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        return tuple(input_shape)

    def compute_output_spec(self, segment_ids: Tensor) -> keras.KerasTensor:
        """Returns integers of the input's shape."""
        return keras.KerasTensor(segment_ids.shape, dtype="int32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.pop("autocast", None)
        return config
