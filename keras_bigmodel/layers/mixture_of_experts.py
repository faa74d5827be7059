"""A feed-forward network of which each token uses a few parts."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_bigmodel.layers import activations
from keras_bigmodel.layers.expert_dispatch import dispatch

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class MixtureOfExperts(keras.layers.Layer):
    """Sends each token through the few experts that a router picks for it.

    With p = softmax(x router) and the k most probable experts of a token,

        y = sum of w[e] * expert[e](x) over those k,  w[e] = p[e] / their sum

    Each expert is a `FeedForward` with weights of its own, stacked as (experts,
    in, out). No token is ever dropped: every expert takes up to 3 / 2 of its
    even share of the tokens in one batched product, and further rounds follow
    while some expert has tokens left. When tokens are so few that most experts
    are idle, as in decoding, only the weights of the picked ones are read.

    In training two losses are added through `add_loss`, both over visible
    tokens only, with f[e] the share of the tokens' choices that fell on e:

        balance_loss * experts * sum(f[e] * mean(p[e]))
        z_loss * mean(logsumexp(x router) ** 2)

    Which experts are used can be read from the weight `expert_use`, an average
    of f over the latest hundred or so training steps, and for given tokens from
    `route`.

    Args:
        num_experts: how many experts there are.
        intermediate_dim: the width inside each.
        experts_per_token: k.
        activation: as in `FeedForward`.
        gated: as in `FeedForward`.
        use_bias: whether the experts' projections have a bias; the router has
            none.
        normalize_weights: whether the weights of a token's experts are divided
            by their sum, as Mixtral does.
        balance_loss: factor of the load-balancing loss.
        z_loss: factor of the router's z-loss.
        kernel_initializer: initializer of each expert's kernels and of the
            router.

    Input shape:
        (..., hidden_dim)

    Output shape:
        (..., hidden_dim)

    Masking:
        Masked tokens are sent to no expert, give zeros and count in no loss;
        the mask is passed on.

    Precision:
        Router, softmax and losses are computed in float32.

    Raises:
        ValueError: if a number is not positive, `experts_per_token` is more
            than `num_experts`, or `activation` is not known.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    x = keras.Input((None, 64))
    y = kbm.layers.MixtureOfExperts(
        num_experts=8, intermediate_dim=96, activation="silu", gated=True
    )(x)
    ```

    References:
        - Shazeer et al. 2017, Outrageously Large Neural Networks, section 2.1,
          https://arxiv.org/abs/1701.06538
        - Fedus et al. 2021, Switch Transformers, section 2.2, equations 4 to
          6, https://arxiv.org/abs/2101.03961; f is divided by k, so that even
          use gives the same loss for every k.
        - Zoph et al. 2022, ST-MoE, section 3.3, equation 5 (z-loss),
          https://arxiv.org/abs/2202.08906
        - Jiang et al. 2024, Mixtral of Experts, section 2.1,
          https://arxiv.org/abs/2401.04088
    """

    def __init__(
        self,
        num_experts: int,
        intermediate_dim: int,
        experts_per_token: int = 2,
        *,
        activation: str = "gelu",
        gated: bool = False,
        use_bias: bool = True,
        normalize_weights: bool = True,
        balance_loss: float = 0.01,
        z_loss: float = 0.001,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if intermediate_dim < 1:
            raise ValueError(
                "`intermediate_dim` must be positive. "
                f"Received: intermediate_dim={intermediate_dim}"
            )
        if not 1 <= experts_per_token <= num_experts:
            raise ValueError(
                "`experts_per_token` must be from 1 to `num_experts`. "
                f"Received: experts_per_token={experts_per_token}, "
                f"num_experts={num_experts}"
            )
        self.num_experts = num_experts
        self.intermediate_dim = intermediate_dim
        self.experts_per_token = experts_per_token
        self.activation = activation
        self.gated = gated
        self.use_bias = use_bias
        self.normalize_weights = normalize_weights
        self.balance_loss = balance_loss
        self.z_loss = z_loss
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.supports_masking = True
        self._activate = activations.get(activation)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the router and the experts for (..., hidden_dim)."""
        narrow, wide = input_shape[-1], self.intermediate_dim
        self.router = self.add_weight(
            name="router",
            shape=(narrow, self.num_experts),
            initializer=self.kernel_initializer.clone(),
            autocast=False,
        )
        sizes = {"up": (narrow, wide), "down": (wide, narrow)}
        if self.gated:
            sizes["gate"] = (narrow, wide)
        for name, (inputs, outputs) in sizes.items():
            kernel = self.add_weight(
                name=name,
                shape=(self.num_experts, inputs, outputs),
                initializer=self._draw_each,
            )
            setattr(self, name, kernel)
            if self.use_bias:
                bias = self.add_weight(
                    name=f"{name}_bias",
                    shape=(self.num_experts, 1, outputs),
                    initializer="zeros",
                )
                setattr(self, f"{name}_bias", bias)
        self.expert_use = self.add_weight(
            name="expert_use",
            shape=(self.num_experts,),
            initializer=keras.initializers.Constant(1 / self.num_experts),
            dtype="float32",
            autocast=False,
            trainable=False,
            aggregation="mean",
        )

    def _draw_each(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """Initialises each expert by its own size, and each otherwise."""
        config = self.kernel_initializer.get_config()
        kernels = []
        for expert in range(self.num_experts):
            own = dict(config)
            if isinstance(config.get("seed"), int):
                own["seed"] += expert
            initializer = type(self.kernel_initializer).from_config(own)
            kernels.append(initializer(shape[1:], dtype=dtype))
        return ops.stack(kernels)

    def route(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the experts of each token and their weights in its output.

        Both are (..., experts_per_token), int32 and float32.
        """
        return self._choose(ops.softmax(self._logits(x), axis=-1))

    def _logits(self, x: Tensor) -> Tensor:
        router = ops.cast(self.router, "float32")
        return ops.matmul(ops.cast(x, "float32"), router)

    def _choose(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        weights, experts = ops.top_k(probabilities, self.experts_per_token)
        if self.normalize_weights:
            weights = weights / ops.sum(weights, axis=-1, keepdims=True)
        return ops.cast(experts, "int32"), weights

    def call(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """Returns what the experts of each token of `x` make of it."""
        shape = ops.shape(x)
        x = ops.reshape(x, (-1, shape[-1]))
        logits = self._logits(x)
        probabilities = ops.softmax(logits, axis=-1)
        experts, weights = self._choose(probabilities)
        if mask is not None:
            mask = ops.reshape(mask, (-1, 1))
            # Beyond the last expert: nobody's.
            experts = ops.where(mask, experts, self.num_experts)
            weights = ops.where(mask, weights, 0.0)
        if training:
            self._account(logits, probabilities, experts, mask)
        weights = ops.cast(weights, x.dtype)
        y = dispatch(x, experts, weights, self.num_experts, self._feed)
        return ops.reshape(y, shape)

    def _feed(self, x: Tensor, pick: Callable[[Tensor], Tensor]) -> Tensor:
        """Runs (groups, tokens, hidden_dim) through one expert a group."""

        def project(name: str, x: Tensor) -> Tensor:
            y = ops.matmul(x, pick(getattr(self, name)))
            if self.use_bias:
                y = y + pick(getattr(self, f"{name}_bias"))
            return y

        if self.gated:
            wide = self._activate(project("gate", x)) * project("up", x)
        else:
            wide = self._activate(project("up", x))
        return project("down", wide)

    def _account(
        self,
        logits: Tensor,
        probabilities: Tensor,
        experts: Tensor,
        mask: Tensor | None,
    ) -> None:
        """Adds the losses and notes which experts are used."""
        visible = ops.ones_like(logits[:, :1])
        if mask is not None:
            visible = ops.cast(mask, "float32")
        count = ops.maximum(ops.sum(visible), 1.0)
        chosen = ops.sum(ops.one_hot(experts, self.num_experts), axis=(0, 1))
        shares = ops.cast(chosen, "float32") / (count * self.experts_per_token)
        means = ops.sum(probabilities * visible, axis=0) / count
        if self.balance_loss:
            balance = self.num_experts * ops.sum(shares * means)
            self.add_loss(self.balance_loss * balance)
        if self.z_loss:
            squares = ops.square(ops.logsumexp(logits, axis=-1, keepdims=True))
            self.add_loss(self.z_loss * ops.sum(squares * visible) / count)
        self.expert_use.assign(0.99 * self.expert_use + 0.01 * shares)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Returns `input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "num_experts": self.num_experts,
            "intermediate_dim": self.intermediate_dim,
            "experts_per_token": self.experts_per_token,
            "activation": self.activation,
            "gated": self.gated,
            "use_bias": self.use_bias,
            "normalize_weights": self.normalize_weights,
            "balance_loss": self.balance_loss,
            "z_loss": self.z_loss,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
        }
