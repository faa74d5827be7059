"""Relative position buckets, as in T5."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_bigmodel.layers.positions.base import PositionEncoding

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class RelativePositionEncoding(PositionEncoding):
    """Adds a trained number for each head and distance to the scores.

        bias[h, q, k] = embeddings[bucket(k - q), h]

    Of the buckets, half are for one distance each, from 0 up; the others widen
    geometrically up to `max_distance`, and the last takes all that is farther.
    T5 has one table for all its layers: `SharedPositionBias` shares it.

    Args:
        num_heads: the number of heads of the attention layer.
        bidirectional: whether keys after the query have buckets of their own,
            half of all; otherwise they share the one of distance 0, for causal
            attention which does not see them.
        num_buckets: rows of the table `embeddings`.
        max_distance: where the last bucket begins.
        embeddings_initializer: initializer of the table.

    Input shape:
        `bias` takes positions, (batch or 1, query sequence) and
        (batch or 1, key sequence).

    Output shape:
        (batch or 1, num_heads, query sequence, key sequence)

    Precision:
        The bias is float32, whatever the dtype of the table.

    Raises:
        ValueError: if `num_heads` is not positive, or the buckets do not leave
            room below `max_distance` for the single distances.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    x = keras.Input((None, 64))
    relative = kbm.layers.RelativePositionEncoding(num_heads=4)
    y = kbm.layers.SelfAttention(num_heads=4, position_encoding=relative)(x)
    ```

    References:
        - Raffel et al. 2019, Exploring the Limits of Transfer Learning with a
          Unified Text-to-Text Transformer, section 2.1,
          https://arxiv.org/abs/1910.10683
    """

    def __init__(
        self,
        num_heads: int,
        bidirectional: bool = True,
        num_buckets: int = 32,
        max_distance: int = 128,
        embeddings_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_heads < 1:
            raise ValueError(
                f"`num_heads` must be positive. Received: num_heads={num_heads}"
            )
        single = num_buckets // (4 if bidirectional else 2)
        if not 1 <= single < max_distance:
            raise ValueError(
                "`num_buckets` must give single distances, at least one and "
                "fewer than `max_distance`. Received: "
                f"num_buckets={num_buckets}, max_distance={max_distance}"
            )
        self.num_heads = num_heads
        self.bidirectional = bidirectional
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.embeddings_initializer = keras.initializers.get(
            embeddings_initializer
            or keras.initializers.TruncatedNormal(stddev=0.02)
        )

    def build(self, input_shape: Any = None) -> None:
        """Creates the table; the shape of the input plays no part."""
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_buckets, self.num_heads),
            initializer=self.embeddings_initializer,
        )

    def bias(self, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """Returns the table's entries for each head, query and key."""
        offset = key_positions[:, None, :] - query_positions[:, :, None]
        limit = self.max_distance
        offset = ops.clip(offset, -limit, limit) + limit
        by_offset = ops.take(self.embeddings, self._buckets(), axis=0)
        by_offset = ops.cast(by_offset, "float32")
        bias = ops.take(by_offset, offset, axis=0)
        return ops.transpose(bias, (0, 3, 1, 2))

    def _buckets(self) -> np.ndarray:
        """Returns the bucket of each offset, -max_distance to max_distance.

        All farther ones share the buckets of the ends.
        """
        offsets = np.arange(-self.max_distance, self.max_distance + 1)
        if self.bidirectional:
            buckets = self.num_buckets // 2
            first = np.where(offsets > 0, buckets, 0)
            distances = np.abs(offsets)
        else:
            buckets, first = self.num_buckets, 0
            distances = np.maximum(-offsets, 0)
        single = buckets // 2
        share = np.log(np.maximum(distances, single) / single) / math.log(
            self.max_distance / single
        )
        # Powers that are whole numbers may come out a rounding below.
        wide = single + (share * (buckets - single) + 1e-6).astype("int32")
        wide = np.minimum(wide, buckets - 1)
        return first + np.where(distances < single, distances, wide)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "bidirectional": self.bidirectional,
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
            "embeddings_initializer": keras.initializers.serialize(
                self.embeddings_initializer
            ),
        }
