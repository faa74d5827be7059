"""The feed-forward network of a Transformer block."""

from typing import Any

import keras

from keras_bigmodel.layers import activations
from keras_bigmodel.layers.projection import apply, project

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class FeedForward(keras.layers.Layer):
    """Widens each position, bends it and narrows it again.

    Plain, with two Dense layers: `down(f(up(x)))`; gated, with three:
    `down(f(gate(x)) * up(x))`. The output is as wide as the input.

    Args:
        intermediate_dim: the width between.
        activation: f, one of `"gelu"` (exact), `"gelu_tanh"` (GPT-2's),
            `"silu"`, `"relu"` and `"relu_squared"`.
        gated: whether the activation gates a second projection. With `"silu"`
            this is SwiGLU, with `"gelu"` GEGLU.
        use_bias: whether the Dense layers have a bias.
        dropout: share of the intermediate features dropped in training.
        kernel_initializer: initializer of the kernels.

    Input shape:
        (..., hidden_dim)

    Output shape:
        (..., hidden_dim)

    Masking:
        Passed on unchanged.

    Raises:
        ValueError: if `activation` is not known, or `intermediate_dim` is not
            positive.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    x = keras.Input((None, 64))
    y = kbm.layers.FeedForward(172, activation="silu", gated=True)(x)
    ```

    References:
        - Vaswani et al. 2017, Attention Is All You Need, section 3.3,
          https://arxiv.org/abs/1706.03762
        - Shazeer 2020, GLU Variants Improve Transformer, section 2,
          https://arxiv.org/abs/2002.05202
        - So et al. 2021, Primer, section 4 (relu_squared),
          https://arxiv.org/abs/2109.08668
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
        if intermediate_dim < 1:
            raise ValueError(
                "`intermediate_dim` must be positive. "
                f"Received: intermediate_dim={intermediate_dim}"
            )
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.gated = gated
        self.use_bias = use_bias
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.supports_masking = True
        self._activate = activations.get(activation)
        self._dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the projections for inputs of (..., hidden_dim)."""
        wide = (*input_shape[:-1], self.intermediate_dim)
        if self.gated:
            self.gate = self._dense("gate", self.intermediate_dim)
            self.gate.build(input_shape)
        self.up = self._dense("up", self.intermediate_dim)
        self.up.build(input_shape)
        self.down = self._dense("down", input_shape[-1])
        self.down.build(wide)

    def _dense(self, name: str, units: int) -> keras.layers.Dense:
        return keras.layers.Dense(
            units,
            use_bias=self.use_bias,
            # Each its own: an initializer used twice draws the same twice.
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """Returns what the network makes of each position of `x`."""

        def network(rows: Tensor) -> Tensor:
            if self.gated:
                gate = apply(self.gate, rows, self._activate)
                wide = gate * apply(self.up, rows)
            else:
                wide = apply(self.up, rows, self._activate)
            wide = self._dropout(wide, training=training)
            return apply(self.down, wide)

        return project(network, x)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Returns `input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the layer."""
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
