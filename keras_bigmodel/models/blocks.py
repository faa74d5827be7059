"""The blocks of a Transformer stack, made from a builder's arguments."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from keras_bigmodel import layers
from keras_bigmodel.models.arguments import (
    new_feed_forward,
    new_normalization,
    windows_of_layers,
)
from keras_bigmodel.models.position_choice import PositionChoice


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """Makes the blocks of one stack; the arguments are `decoder_lm`'s.

    Raises:
        ValueError: If `sliding_window` or the position encodings have not one
            entry a layer.
    """

    positions: PositionChoice
    num_layers: int
    num_heads: int
    intermediate_dim: int
    head_dim: int | None = None
    num_key_value_heads: int | None = None
    normalization: str | keras.layers.Layer = "layer"
    epsilon: float = 1e-5
    normalize_first: bool = True
    normalize_branch: bool = False
    query_key_normalization: str | keras.layers.Layer | None = None
    parallel: bool = False
    activation: str = "gelu"
    gated: bool = False
    use_bias: bool = True
    attention_bias: bool | Sequence[str] | None = None
    attention_scale: float | None = None
    attention_soft_cap: float | None = None
    use_sinks: bool = False
    sliding_window: int | Sequence[int | None] | None = None
    num_experts: int | None = None
    experts_per_token: int = 2
    dropout: float = 0.0
    attention_dropout: float = 0.0
    drop_path: float = 0.0
    dtype: Any = None

    def __post_init__(self) -> None:
        self.positions.check_blocks(self.num_layers)

    def encoder_block(self, index: int) -> layers.EncoderBlock:
        """Returns block `index` of an encoder."""
        return layers.EncoderBlock(
            self_attention=self._self_attention(index, causal=False),
            name=f"encoder_block_{index}",
            **self._arguments(index),
        )

    def decoder_block(
        self, index: int, cross_attention: bool = False
    ) -> layers.DecoderBlock:
        """Returns block `index` of a decoder."""
        if cross_attention:
            cross_attention = layers.CrossAttention(
                name="cross_attention", **self._attention_arguments()
            )
        return layers.DecoderBlock(
            self_attention=self._self_attention(index, causal=True),
            cross_attention=cross_attention,
            name=f"decoder_block_{index}",
            **self._arguments(index),
        )

    def new_normalization(self, name: str) -> keras.layers.Layer:
        """Returns a normalisation outside the blocks."""
        return new_normalization(
            self.normalization, self.epsilon, self.dtype, name
        )

    @property
    def need_final_normalization(self) -> bool:
        """Whether the last block leaves its stream as the sum of branches."""
        return self.normalize_first or self.normalize_branch

    def _self_attention(self, index: int, causal: bool) -> layers.SelfAttention:
        windows = windows_of_layers(self.sliding_window, self.num_layers)
        return layers.SelfAttention(
            causal=causal,
            sliding_window=windows[index],
            position_encoding=self.positions.for_attention(index),
            use_sinks=self.use_sinks,
            name="self_attention",
            **self._attention_arguments(),
        )

    def _attention_arguments(self) -> dict[str, Any]:
        """Returns what self- and cross-attention have in common."""
        normalizations = {
            f"{name}_normalization": new_normalization(
                self.query_key_normalization,
                self.epsilon,
                self.dtype,
                f"{name}_normalization",
            )
            for name in ("query", "key")
        }
        bias = self.attention_bias
        return {
            "num_heads": self.num_heads,
            "head_dim": self.head_dim,
            "num_key_value_heads": self.num_key_value_heads,
            "use_bias": self.use_bias if bias is None else bias,
            "logit_soft_cap": self.attention_soft_cap,
            "scale": self.attention_scale,
            "dropout": self.attention_dropout,
            "dtype": self.dtype,
            **normalizations,
        }

    def _arguments(self, index: int) -> dict[str, Any]:
        """Returns what encoder and decoder blocks have in common."""
        return {
            "feed_forward": new_feed_forward(
                self.intermediate_dim,
                activation=self.activation,
                gated=self.gated,
                use_bias=self.use_bias,
                num_experts=self.num_experts,
                experts_per_token=self.experts_per_token,
                dtype=self.dtype,
            ),
            "normalization": self.normalization,
            "epsilon": self.epsilon,
            "normalize_first": self.normalize_first,
            "normalize_branch": self.normalize_branch,
            "parallel": self.parallel,
            "dropout": self.dropout,
            "drop_path": self.drop_path * index / max(1, self.num_layers - 1),
            "dtype": self.dtype,
        }
