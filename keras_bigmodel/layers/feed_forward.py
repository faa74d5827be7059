"""Position-wise feed-forward network."""

from typing import Any

import keras

from keras_bigmodel.layers import activations
from keras_bigmodel.layers.grouped_attention import clone_initializer

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class FeedForward(keras.layers.Layer):
    """Widens each position, applies a nonlinearity, and narrows it again.

    Computes, with a for the activation,

        a(x W_up) W_down,    gated:  (a(x W_gate) * (x W_up)) W_down

    Args:
        intermediate_dim: Width in between.
        activation: "gelu" (exact), "gelu_tanh", "relu", "relu_squared" or
            "silu".
        gated: Whether a second projection gates the first.
        use_bias: Whether the projections add a bias.
        dropout: Share dropped in between in training, 0 to 1.
        kernel_initializer: Of the projections.

    Call arguments:
        x: The sequence.
        training: Whether dropout is active.

    Input shape:
        (batch, ..., hidden_dim)

    Output shape:
        (batch, ..., hidden_dim)

    Masking:
        Passes the mask on.

    Raises:
        ValueError: If `intermediate_dim` is not positive or the activation is
            unknown.

    Example:
        >>> layer = kbm.layers.FeedForward(32, activation="silu", gated=True)
        >>> layer(np.ones((2, 5, 8), "float32")).shape
        TensorShape([2, 5, 8])

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.3; Shazeer
        2020, "GLU Variants Improve Transformer", section 2 (gated).
    """

    def __init__(
        self,
        intermediate_dim: int,
        activation: str = "gelu",
        gated: bool = False,
        use_bias: bool = True,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if intermediate_dim is None or intermediate_dim < 1:
            raise ValueError(
                "`intermediate_dim` must be at least 1. "
                f"Received: intermediate_dim={intermediate_dim}"
            )
        self.supports_masking = True
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.gated = gated
        self.use_bias = use_bias
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self._activate = activations.get(activation)
        self._dropout = (
            keras.layers.Dropout(dropout, dtype=self.dtype_policy)
            if dropout
            else None
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the projections."""
        hidden_dim = input_shape[-1]
        widened = (*input_shape[:-1], self.intermediate_dim)
        self.up = self._projection("up", self.intermediate_dim, input_shape)
        if self.gated:
            self.gate = self._projection(
                "gate", self.intermediate_dim, input_shape
            )
        self.down = self._projection("down", hidden_dim, widened)

    def _projection(
        self, name: str, units: int, input_shape: tuple[int | None, ...]
    ) -> keras.layers.Layer:
        layer = keras.layers.Dense(
            units,
            use_bias=self.use_bias,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(input_shape)
        return layer

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """Returns each position's own output."""
        if self.gated:
            hidden = self._activate(self.gate(x)) * self.up(x)
        else:
            hidden = self._activate(self.up(x))
        if self._dropout is not None:
            hidden = self._dropout(hidden, training=training)
        return self.down(hidden)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "activation": self.activation,
            "gated": self.gated,
            "use_bias": self.use_bias,
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
        }

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        return tuple(input_shape)
