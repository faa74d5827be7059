"""Transformer decoder block."""

from typing import Any

import keras

from keras_bigmodel.layers.attention import CrossAttention
from keras_bigmodel.layers.block import TransformerBlock, new_feed_forward
from keras_bigmodel.layers.encoder_block import given_parts, new_self_attention
from keras_bigmodel.layers.parts import as_layer, part_config
from keras_bigmodel.layers.positions.base import PositionEncoding

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class DecoderBlock(TransformerBlock):
    """Causal self-attention, cross-attention if asked for, feed-forward.

    The branches and the places of their normalisations are those of
    `EncoderBlock`. Under a `DecodingScope` the block runs a few tokens at a
    time.

    Args:
        num_heads: Number of attention heads.
        intermediate_dim: Width of the feed-forward network.
        position_encoding: A `PositionEncoding` for the self-attention, or
            None.
        activation: Of the feed-forward network.
        gated: Whether the feed-forward network is gated.
        use_bias: Whether attention and feed-forward projections add a bias.
        self_attention: A causal `SelfAttention` to use instead of one made
            from `num_heads`, `position_encoding` and `use_bias`.
        cross_attention: Whether the block looks at a `context` between its
            two other branches; or the `CrossAttention` to do it with.
        feed_forward: A layer to use instead of a `FeedForward`, for example a
            `MixtureOfExperts`.
        **kwargs: `normalization`, `epsilon`, `normalize_first`,
            `normalize_branch`, `parallel`, `dropout` and `drop_path` as in
            `EncoderBlock`, and those of every layer.

    Call arguments:
        x: The sequence.
        context: The sequence to look at, with `cross_attention`.
        padding_mask: Booleans, (batch, sequence), True where there is a token.
        attention_mask: Booleans, (batch, query, key) or (batch, heads, query,
            key), True where visible; later tokens stay hidden.
        context_mask: Booleans over the context, (batch, context).
        segment_ids: Integers, (batch, sequence), numbering packed documents.
        positions: Integers, (1 or batch, sequence); default: 0, 1, 2, ....
        attention_bias: Float, (1 or batch, heads, query, key), added to the
            scores of the self-attention.
        training: Whether dropout is active.

    Input shape:
        x: (batch, sequence, hidden_dim); context: (batch, context,
        context_dim)

    Output shape:
        (batch, sequence, hidden_dim)

    Masking:
        Consumes the Keras masks of x and of the context; passes x's on.

    Precision:
        Softmax and normalisation statistics are float32.

    Raises:
        ValueError: If neither sizes nor layers are given, or both; if a
            context is missing or was not asked for; if branches are parallel
            and there is cross-attention.

    Example:
    ```python
    import numpy as np

    import keras_bigmodel as kbm

    block = kbm.layers.DecoderBlock(num_heads=2, intermediate_dim=32)
    block(np.ones((2, 5, 8), "float32")).shape  # (2, 5, 8)
    ```

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.1; those of
        `EncoderBlock` for the variants.
    """

    def __init__(
        self,
        num_heads: int | None = None,
        intermediate_dim: int | None = None,
        *,
        position_encoding: PositionEncoding | None = None,
        activation: str = "gelu",
        gated: bool = False,
        use_bias: bool = True,
        self_attention: keras.layers.Layer | None = None,
        cross_attention: bool | keras.layers.Layer = False,
        feed_forward: keras.layers.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        dtype = kwargs.get("dtype")
        position_encoding = as_layer(position_encoding)
        makes_cross_attention = cross_attention is True
        self_attention = new_self_attention(
            self_attention,
            num_heads=num_heads,
            causal=True,
            position_encoding=position_encoding,
            use_bias=use_bias,
            dtype=dtype,
        )
        if makes_cross_attention:
            cross_attention = CrossAttention(
                self_attention.num_heads,
                self_attention.head_dim,
                use_bias=use_bias,
                dtype=dtype,
                name="cross_attention",
            )
        if cross_attention and kwargs.get("parallel"):
            raise ValueError(
                "Parallel branches leave no place for cross-attention. "
                "Received: parallel=True, cross_attention="
                f"{cross_attention}"
            )
        super().__init__(
            self_attention=self_attention,
            cross_attention=as_layer(cross_attention or None),
            feed_forward=new_feed_forward(
                feed_forward,
                intermediate_dim=intermediate_dim,
                activation=activation,
                gated=gated,
                use_bias=use_bias,
                dtype=dtype,
            ),
            **kwargs,
        )
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.position_encoding = position_encoding
        self.activation = activation
        self.gated = gated
        self.use_bias = use_bias
        self._makes_cross_attention = makes_cross_attention

    def build(
        self,
        x_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        """Builds the branches."""
        if (context_shape is not None) != (self.cross_attention is not None):
            raise ValueError(
                "A block with `cross_attention` is called with a `context`, "
                "and one without it is not. Received: "
                f"cross_attention={self.cross_attention}, "
                f"context_shape={context_shape}"
            )
        self._build_branches(x_shape, context_shape)

    def call(
        self,
        x: Tensor,
        context: Tensor | None = None,
        padding_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        context_mask: Tensor | None = None,
        segment_ids: Tensor | None = None,
        positions: Tensor | None = None,
        attention_bias: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """Returns the stream after all branches."""

        def attend(normalized: Tensor) -> Tensor:
            return self.self_attention(
                normalized,
                padding_mask=padding_mask,
                attention_mask=attention_mask,
                segment_ids=segment_ids,
                positions=positions,
                attention_bias=attention_bias,
                training=training,
            )

        def attend_context(normalized: Tensor) -> Tensor:
            return self.cross_attention(
                normalized,
                context,
                padding_mask=context_mask,
                training=training,
            )

        return self._run(
            x,
            attend,
            None if self.cross_attention is None else attend_context,
            padding_mask,
            training,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        crossing = self.cross_attention
        return {
            **super().get_config(),
            **given_parts(self),
            "cross_attention": True
            if self._makes_cross_attention
            else part_config(crossing),
        }
