"""Tells the segments of a text apart."""

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class SegmentEmbedding(keras.layers.Layer):
    """Adds a trained vector for the kind of segment a token belongs to.

        y[b, t] = x[b, t] + embeddings[segment_ids[b, t]]

    Args:
        num_segments: How many kinds there are, such as question and text.
        embeddings_initializer: Of the table; default: normal with standard
            deviation 0.02.

    Call arguments:
        x: Token embeddings.
        segment_ids: Integers from 0 to num_segments - 1, (batch, sequence).

    Input shape:
        (batch, sequence, hidden_dim)

    Output shape:
        (batch, sequence, hidden_dim)

    Masking:
        x's mask is passed on.

    Raises:
        ValueError: If `num_segments` is not positive.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    x = keras.Input((None, 64))
    segment_ids = keras.Input((None,), dtype="int32")
    y = kbm.layers.SegmentEmbedding(num_segments=2)(x, segment_ids)
    ```

    References:
        Devlin et al. 2019, "BERT", section 3.
    """

    def __init__(
        self,
        num_segments: int,
        embeddings_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        # Ids must not become the compute dtype: bfloat16 ends at 256.
        super().__init__(autocast=False, **kwargs)
        if num_segments < 1:
            raise ValueError(
                "`num_segments` must be positive. "
                f"Received: num_segments={num_segments}"
            )
        self.num_segments = num_segments
        self.embeddings_initializer = keras.initializers.get(
            embeddings_initializer or keras.initializers.RandomNormal(0.0, 0.02)
        )
        self.supports_masking = True

    def build(
        self, x_shape: tuple[int | None, ...], segment_ids_shape: Any = None
    ) -> None:
        """Makes the table."""
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_segments, x_shape[-1]),
            initializer=self.embeddings_initializer,
        )

    def call(self, x: Tensor, segment_ids: Tensor) -> Tensor:
        """Returns x plus the vectors of its segments."""
        vectors = ops.take(
            self.embeddings, ops.cast(segment_ids, "int32"), axis=0
        )
        dtype = self.compute_dtype
        return ops.cast(x, dtype) + ops.cast(vectors, dtype)

    def compute_output_spec(
        self, x: Tensor, segment_ids: Tensor
    ) -> keras.KerasTensor:
        """Returns x's shape in the compute dtype."""
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.pop("autocast", None)
        return {
            **config,
            "num_segments": self.num_segments,
            "embeddings_initializer": keras.initializers.serialize(
                self.embeddings_initializer
            ),
        }
