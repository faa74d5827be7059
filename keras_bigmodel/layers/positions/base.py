"""What every position encoding has in common."""

from typing import Any

import keras
from keras import ops

from keras_bigmodel.layers import decoding

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class PositionEncoding(keras.layers.Layer):
    """Base of the position encodings: three hooks, each doing nothing.

    A subclass overrides the one hook through which it tells a model where a
    token stands:

    - `embed` adds to the token embeddings,
    - `rotate` turns the queries and keys of an attention layer,
    - `bias` is added to the attention scores.

    Attention layers call `rotate` and `bias` themselves. Called as a layer, an
    encoding applies `embed`.

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

    Raises:
        ValueError: if `positions` is not of rank 2.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    class Reversed(kbm.layers.PositionEncoding):
        def bias(self, query_positions, key_positions):
            distance = key_positions[:, None, :] - query_positions[:, :, None]
            return keras.ops.cast(distance, "float32")[:, None]
    ```
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Returns the token embeddings `x`, told where each token stands."""
        return x

    def rotate(
        self, query: Tensor, key: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns `query` and `key`, both (batch, sequence, heads, head_dim).

        Both stand at `positions`; their numbers of heads may differ.
        """
        return query, key

    def bias(
        self, query_positions: Tensor, key_positions: Tensor
    ) -> Tensor | None:
        """Returns what to add to the scores, float32, or None for nothing.

        The shape is (batch or 1, heads, query sequence, key sequence).
        """
        return None

    def call(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Applies `embed` at `positions`."""
        if positions is None:
            positions = decoding.current_positions(x)
        else:
            positions = ops.cast(positions, "int32")
            if len(positions.shape) != 2:
                raise ValueError(
                    "`positions` must be of rank 2, (batch or 1, sequence). "
                    f"Received: positions.shape={tuple(positions.shape)}"
                )
        return self.embed(x, positions)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Returns `input_shape`: an encoding changes no shape."""
        return input_shape
