"""Learned position encoding."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_bigmodel.layers.decoding import DecodingScope
from keras_bigmodel.layers.positions.base import PositionEncoding

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class LearnedPositionEncoding(PositionEncoding):
    """Adds a trained vector for each position to the token embeddings.

        y[b, t] = x[b, t] + embeddings[positions[b, t] + offset]

    Args:
        max_sequence_length: how many positions there are.
        embeddings_initializer: initializer of the table `embeddings`.
        offset: how many rows come before that of position 0, as the two of OPT
            and BART; the table has `max_sequence_length + offset` rows.

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
        ValueError: if the sequence is longer than `max_sequence_length`, or a
            position is outside the table. Positions computed inside a compiled
            function are known to the device alone, which may then refuse them
            (TensorFlow on CPU), or not.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    token_ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(1_000, 64)(token_ids)
    x = kbm.layers.LearnedPositionEncoding(max_sequence_length=128)(x)
    ```

    References:
        - Gehring et al. 2017, Convolutional Sequence to Sequence Learning,
          section 3.1, https://arxiv.org/abs/1705.03122
        - Radford et al. 2018, Improving Language Understanding by Generative
          Pre-Training, section 3.1.
    """

    def __init__(
        self,
        max_sequence_length: int,
        embeddings_initializer: Any = None,
        offset: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_sequence_length < 1:
            raise ValueError(
                "`max_sequence_length` must be positive. "
                f"Received: max_sequence_length={max_sequence_length}"
            )
        self.max_sequence_length = max_sequence_length
        self.embeddings_initializer = keras.initializers.get(
            embeddings_initializer
            or keras.initializers.TruncatedNormal(stddev=0.02)
        )
        self.offset = offset

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the table for inputs of (batch, sequence, hidden_dim)."""
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.max_sequence_length + self.offset, input_shape[-1]),
            initializer=self.embeddings_initializer,
        )

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Returns `x` plus the vectors of `positions`."""
        scope = DecodingScope.current()
        if scope is not None and scope.may_overrun:
            positions = ops.minimum(positions, self.max_sequence_length - 1)
        self._check_positions(positions)
        rows = positions + self.offset if self.offset else positions
        return x + ops.take(self.embeddings, rows, axis=0)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Returns `input_shape`, if there are positions for it."""
        self._check_length(input_shape[1])
        return input_shape

    def _check_length(self, length: int | None) -> None:
        if length is not None and length > self.max_sequence_length:
            raise ValueError(
                f"A sequence of {length} tokens has positions past the last "
                "one of the table. Received: max_sequence_length="
                f"{self.max_sequence_length}, sequence={length}"
            )

    def _check_positions(self, positions: Tensor) -> None:
        self._check_length(positions.shape[1])
        last = self.max_sequence_length - 1
        try:
            values = np.asarray(positions)
        except (NotImplementedError, TypeError, ValueError):
            return  # Traced: no values yet.
        if values.size and not 0 <= values.min() <= values.max() <= last:
            raise ValueError(
                f"Positions must be from 0 to {last}. Received: "
                f"max_sequence_length={self.max_sequence_length}, "
                f"positions from {values.min()} to {values.max()}"
            )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "max_sequence_length": self.max_sequence_length,
            "embeddings_initializer": keras.initializers.serialize(
                self.embeddings_initializer
            ),
            "offset": self.offset,
        }
