"""Transformer encoder block."""

from typing import Any

import keras

from keras_bigmodel.layers.attention import SelfAttention
from keras_bigmodel.layers.block import TransformerBlock, new_feed_forward
from keras_bigmodel.layers.parts import as_layer, part_config
from keras_bigmodel.layers.positions.base import PositionEncoding

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class EncoderBlock(TransformerBlock):
    """Self-attention in both directions, then a feed-forward network.

    Both are branches around a residual stream. With f for a branch and n for
    a normalisation, a branch gives

    - x + f(n(x)) by default (pre-normalisation);
    - n(x + f(x)) with `normalize_first=False` (post-normalisation, as in 2017);
    - x + n(f(n(x))) with `normalize_branch=True` (sandwich);
    - x + n(f(x)) with `normalize_first=False, normalize_branch=True`.

    Args:
        num_heads: Number of attention heads.
        intermediate_dim: Width of the feed-forward network.
        position_encoding: A `PositionEncoding` for the attention, or None.
        activation: Of the feed-forward network.
        gated: Whether the feed-forward network is gated.
        use_bias: Whether attention and feed-forward projections add a bias.
        self_attention: A `SelfAttention` to use instead of one made from
            `num_heads`, `position_encoding` and `use_bias`.
        feed_forward: A layer to use instead of a `FeedForward`, for example a
            `MixtureOfExperts`.
        **kwargs: `normalization` ("layer", "rms" or a layer to be copied;
            default "layer"), `epsilon` (of the normalisations, default 1e-5),
            `normalize_first` (default True), `normalize_branch` (default
            False), `parallel` (both branches read the block's input; default
            False), `dropout` (share dropped of each branch's output, default
            0), `drop_path` (stochastic depth: share of rows that skip a
            branch in training, default 0), and those of every layer.

    Call arguments:
        x: The sequence.
        padding_mask: Booleans, (batch, sequence), True where there is a token.
        attention_mask: Booleans, (batch, query, key) or (batch, heads, query,
            key), True where visible.
        segment_ids: Integers, (batch, sequence), numbering packed documents.
        positions: Integers, (1 or batch, sequence); default: 0, 1, 2, ....
        attention_bias: Float, (1 or batch, heads, query, key), added to the
            scores.
        training: Whether dropout is active.

    Input shape:
        (batch, sequence, hidden_dim)

    Output shape:
        (batch, sequence, hidden_dim)

    Masking:
        Consumes x's Keras mask as `padding_mask`, and passes it on.

    Precision:
        Softmax and normalisation statistics are float32.

    Raises:
        ValueError: If neither sizes nor layers are given, or both.

    Example:
    ```python
    import numpy as np

    import keras_bigmodel as kbm

    block = kbm.layers.EncoderBlock(num_heads=2, intermediate_dim=32)
    block(np.ones((2, 5, 8), "float32")).shape  # (2, 5, 8)
    ```

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.1; Xiong et
        al. 2020, "On Layer Normalization in the Transformer Architecture",
        section 3; Ding et al. 2021, "CogView", section 3.4 (sandwich); Wang &
        Komatsuzaki 2021, "GPT-J-6B" (parallel branches); Huang et al. 2016,
        "Deep Networks with Stochastic Depth", section 3.
    """

    causal = False

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
        feed_forward: keras.layers.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        dtype = kwargs.get("dtype")
        position_encoding = as_layer(position_encoding)
        super().__init__(
            self_attention=new_self_attention(
                self_attention,
                num_heads=num_heads,
                causal=self.causal,
                position_encoding=position_encoding,
                use_bias=use_bias,
                dtype=dtype,
            ),
            cross_attention=None,
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

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the branches."""
        self._build_branches(input_shape)

    def call(
        self,
        x: Tensor,
        padding_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        segment_ids: Tensor | None = None,
        positions: Tensor | None = None,
        attention_bias: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """Returns the stream after both branches."""

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

        return self._run(
            x, attend, padding_mask=padding_mask, training=training
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), **given_parts(self)}


def given_parts(block: TransformerBlock) -> dict[str, Any]:
    """Returns the arguments that the parts of a block were made from.

    A part that was handed over as a layer is returned as its config.
    """
    attention, network = block.self_attention, block.feed_forward
    return {
        "num_heads": block.num_heads,
        "intermediate_dim": block.intermediate_dim,
        "position_encoding": part_config(block.position_encoding),
        "activation": block.activation,
        "gated": block.gated,
        "use_bias": block.use_bias,
        "self_attention": None if block.num_heads else part_config(attention),
        "feed_forward": None
        if block.intermediate_dim
        else part_config(network),
    }


def new_self_attention(
    self_attention: keras.layers.Layer | dict | None, **arguments: Any
) -> keras.layers.Layer:
    """Returns the given layer, or a `SelfAttention` of these arguments.

    Raises:
        ValueError: If neither a layer nor `num_heads` is given, or both, if
            the layer is not causal where it must be or the reverse, or a
            position encoding stands beside it.
    """
    num_heads, causal = arguments["num_heads"], arguments["causal"]
    if (self_attention is None) == (num_heads is None):
        raise ValueError(
            "Give either `num_heads` or a `self_attention` layer. Received: "
            f"num_heads={num_heads}, self_attention={self_attention}"
        )
    if self_attention is not None and arguments["position_encoding"]:
        raise ValueError(
            "Give the `position_encoding` to the `self_attention` layer "
            "itself. Received: "
            f"position_encoding={arguments['position_encoding']}"
        )
    if self_attention is None:
        return SelfAttention(name="self_attention", **arguments)
    layer = as_layer(self_attention)
    if getattr(layer, "causal", causal) != causal:
        raise ValueError(
            "A decoder's self-attention is causal, an encoder's is not: give "
            f"`causal={causal}`. Received: self_attention.causal="
            f"{layer.causal}"
        )
    return layer
