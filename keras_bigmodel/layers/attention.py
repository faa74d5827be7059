"""Self-attention and cross-attention."""

from collections.abc import Collection
from typing import Any

import keras
from keras import ops

from keras_bigmodel.layers import key_value_cache, masks
from keras_bigmodel.layers.decoding import DecodingScope, current_positions
from keras_bigmodel.layers.grouped_attention import GroupedAttention
from keras_bigmodel.layers.parts import as_layer, build_part, part_config
from keras_bigmodel.layers.positions.base import PositionEncoding

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class SelfAttention(GroupedAttention):
    """Lets every token of a sequence look at the others.

    Computes, for each head,

        softmax(q k^T * scale + bias) v

    over the keys that the masks leave visible. Fewer key/value heads than
    query heads (grouped, multi-query attention) share keys without copying
    them. From 2,048 positions on the queries are taken a block at a time, with
    memory that grows with the sequence and not with its square, if the length
    is known when a graph is traced. On GPUs JAX computes 16-bit floats without
    bias or cap by cuDNN's fused kernels, which need two bytes for each pair of
    positions of a row if anything but later tokens is hidden; on TPUs by
    Keras's, if nothing else is. All are exact. Attention dropout in training,
    sinks, a trained bias and an `AttentionRecorder` need the plain path.

    Under a `DecodingScope` a causal layer keeps its keys and values; with a
    sliding window, those of the last `sliding_window` positions alone.

    Args:
        num_heads: Number of query heads.
        head_dim: Features of a head; default: the hidden dimension shared out
            among the heads.
        num_key_value_heads: Number of key and value heads, a divisor of
            `num_heads`; default: `num_heads`. 1 is multi-query attention.
        causal: Whether a token sees itself and earlier ones only.
        sliding_window: How many positions back a token sees, itself included
            (and as many ahead where not causal); None: all.
        position_encoding: A `PositionEncoding` whose `rotate` and `bias` hooks
            are applied, or None.
        use_bias: Whether the projections add a bias: all, none, or those
            named, of "query", "key", "value" and "output".
        query_normalization: A layer applied to the queries, (batch, sequence,
            heads, head_dim), before rotation, for example
            `keras.layers.RMSNormalization()`; None: none.
        key_normalization: The same for the keys.
        logit_soft_cap: c in c tanh(scores / c); None: no cap.
        scale: Factor of the scores; default: head_dim ** -0.5.
        use_sinks: Whether each head learns a score for attending to nothing.
        dropout: Share of the probabilities dropped in training, 0 to 1.
        kernel_initializer: Of the four projections.

    Call arguments:
        x: The sequence.
        padding_mask: Booleans, (batch, sequence), True where there is a token.
        attention_mask: Booleans, (batch, query, key) or (batch, heads, query,
            key), True where visible.
        segment_ids: Integers, (batch, sequence): tokens see tokens of the same
            number only (packed documents).
        positions: Integers, (1 or batch, sequence), for the position encoding
            and the masks; default: the scope's, or 0, 1, 2, ....
        attention_bias: Float, (1 or batch, heads, query, key), added to the
            scores, for a bias that several layers share.
        training: Whether dropout is active.
        mask, x_mask: x's Keras mask, which Keras fills in by itself: the first
            where x is the only tensor, the second where it is not.

    Input shape:
        (batch, sequence, hidden_dim)

    Output shape:
        (batch, sequence, hidden_dim)

    Masking:
        Consumes x's Keras mask as `padding_mask`, and passes it on. All masks
        apply together; a token that sees nothing gets zeros from the heads.

    Precision:
        Products are rounded to the compute dtype; what is added to them and
        the softmax are float32 whatever the dtype policy.

    Raises:
        ValueError: If heads do not divide, a mask has the wrong rank or dtype,
            or a layer that is not causal is called under a `DecodingScope`.

    Example:
    ```python
    import numpy as np

    import keras_bigmodel as kbm

    layer = kbm.layers.SelfAttention(num_heads=4, causal=True)
    layer(np.ones((2, 5, 16), "float32")).shape  # (2, 5, 16)
    ```

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2;
        Shazeer 2019, "Fast Transformer Decoding", section 3 (multi-query);
        Ainslie et al. 2023, "GQA", section 2.2; Dehghani et al. 2023,
        "Scaling Vision Transformers to 22 Billion Parameters", section 2
        (query/key normalisation); Gemma Team 2024, "Gemma 2", section 2 (soft
        cap); Xiao et al. 2023, "Efficient Streaming Language Models with
        Attention Sinks", section 3.3.
    """

    def __init__(
        self,
        num_heads: int,
        head_dim: int | None = None,
        num_key_value_heads: int | None = None,
        causal: bool = False,
        sliding_window: int | None = None,
        position_encoding: PositionEncoding | None = None,
        use_bias: bool | Collection[str] = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_heads,
            head_dim,
            num_key_value_heads,
            use_bias=use_bias,
            **kwargs,
        )
        if sliding_window is not None and sliding_window < 1:
            raise ValueError(
                "`sliding_window` must be at least 1, or None for no window. "
                f"Received: sliding_window={sliding_window}"
            )
        self.causal = causal
        self.sliding_window = sliding_window
        self.position_encoding = as_layer(position_encoding)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the projections."""
        hidden_dim = input_shape[-1]
        self._build_projections(hidden_dim, hidden_dim, hidden_dim)
        build_part(self.position_encoding, input_shape)

    def call(
        self,
        x: Tensor,
        padding_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        segment_ids: Tensor | None = None,
        positions: Tensor | None = None,
        attention_bias: Tensor | None = None,
        training: bool | None = None,
        mask: Tensor | None = None,
        x_mask: Tensor | None = None,
    ) -> Tensor:
        """Returns what each token gathered, (batch, sequence, hidden_dim)."""
        keras_mask = mask if x_mask is None else x_mask
        padding_mask = masks.combined_padding(padding_mask, keras_mask)
        if segment_ids is not None:
            _check_rank(segment_ids, "segment_ids", 2)
        if attention_mask is not None:
            attention_mask = masks.check_mask(attention_mask, "attention_mask")
            attention_mask = masks.attention_mask_to_scores(attention_mask)
        scope = DecodingScope.current()
        if scope is not None:
            self._check_step(
                attention_mask=attention_mask,
                segment_ids=segment_ids,
                positions=positions,
                attention_bias=self.sliding_window and attention_bias,
            )
            scope.observe_padding(padding_mask)
        given = positions is not None
        positions = (
            ops.cast(positions, "int32") if given else current_positions(x)
        )
        query, key, value = self._heads(x, positions)
        visibility = masks.Visibility(
            positions,
            positions,
            causal=self.causal,
            window=self.sliding_window,
            padding_mask=padding_mask,
            query_segments=segment_ids,
            key_segments=segment_ids,
            attention_mask=attention_mask,
        )
        aligned = True
        if scope is not None:
            aligned = scope.is_first_step
            key, value, visibility = key_value_cache.append(
                scope, scope.name_for(self), key, value, visibility
            )
        return self._attend(
            query,
            key,
            value,
            visibility,
            bias=self._bias(attention_bias),
            bias_is_trained=attention_bias is not None
            or self._position_weights(),
            aligned=aligned,
            in_order=scope is None and not given,
            training=training,
        )

    def _heads(self, x: Tensor, positions: Tensor) -> tuple[Tensor, ...]:
        """Returns queries (B, T, H, D), keys and values (B, K, T, D)."""
        query, key, value = self.project_heads(x)
        if self.query_normalization is not None:
            query = self.query_normalization(query)
        if self.key_normalization is not None:
            key = self.key_normalization(key)
        if self.position_encoding is not None:
            query, key = self.position_encoding.rotate(query, key, positions)
        return (
            query,
            key_value_cache.heads_first(key),
            key_value_cache.heads_first(value),
        )

    def project_heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """Returns queries, keys and values, (B, T, heads, D) each.

        Exports with 8-bit weights replace it.
        """
        return (
            self._project(self.query_projection, x, self.num_heads),
            self._project(self.key_projection, x, self.num_key_value_heads),
            self._project(self.value_projection, x, self.num_key_value_heads),
        )

    def _bias(self, attention_bias: Tensor | None) -> Any:
        encoding = self.position_encoding
        if attention_bias is None:
            return None if encoding is None else encoding.bias

        def bias(query_positions: Tensor, key_positions: Tensor) -> Tensor:
            own = encoding and encoding.bias(query_positions, key_positions)
            return attention_bias if own is None else attention_bias + own

        return bias

    def _position_weights(self) -> bool:
        encoding = self.position_encoding
        return encoding is not None and bool(encoding.weights)

    def _check_step(self, **arguments: Tensor | None) -> None:
        if not self.causal:
            raise ValueError(
                "Only causal self-attention can run in steps: without "
                "`causal=True` later tokens change earlier outputs. Call an "
                "encoder outside the scope. Received: causal=False, "
                f"name={self.name!r}"
            )
        given = [name for name, x in arguments.items() if x is not None]
        if given:
            raise ValueError(
                "Under a decoding scope the scope tells positions and masks, "
                "and a layer with a sliding window biases its own scores. Give "
                "the scope a `padding_mask` for ragged rows, and the layer a "
                f"`position_encoding`. Received: arguments={given}"
            )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "causal": self.causal,
            "sliding_window": self.sliding_window,
            "position_encoding": part_config(self.position_encoding),
        }

    def compute_output_spec(
        self, x: Tensor, *unused: Any, **unused_too: Any
    ) -> keras.KerasTensor:
        """Returns x's shape in the compute dtype."""
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class CrossAttention(GroupedAttention):
    """Lets every token of one sequence look at another sequence.

    The queries come from `x`, keys and values from `context`: the decoder of a
    translation model looks at the encoder's output. The formula and the
    arguments are those of `SelfAttention`, less what needs positions that both
    sides share.

    Under a `DecodingScope` the context's keys and values are computed in the
    first step and kept; later steps may pass any context of the same shape.

    Args:
        num_heads: Number of query heads.
        head_dim: Features of a head; default: x's hidden dimension shared out
            among the heads.
        num_key_value_heads: Number of key and value heads; default:
            `num_heads`.
        use_bias: Whether the projections add a bias: all, none, or those
            named, of "query", "key", "value" and "output".
        **kwargs: `query_normalization`, `key_normalization`, `logit_soft_cap`,
            `scale`, `use_sinks`, `dropout` and `kernel_initializer` as in
            `SelfAttention`, and those of every layer.

    Call arguments:
        x: The sequence that looks.
        context: The sequence that is looked at.
        padding_mask: Booleans over the context, (batch, context).
        attention_mask: Booleans, (batch, sequence, context) or (batch, heads,
            sequence, context).
        training: Whether dropout is active.
        context_mask: The context's Keras mask, which Keras fills in by itself.

    Input shape:
        x: (batch, sequence, hidden_dim); context: (batch, context,
        context_dim)

    Output shape:
        (batch, sequence, hidden_dim)

    Masking:
        Consumes the context's Keras mask; passes x's on. A token that sees
        nothing of the context gets zeros from the heads.

    Precision:
        Products are rounded to the compute dtype; the softmax is float32
        whatever the dtype policy.

    Raises:
        ValueError: If heads do not divide or a mask has the wrong rank or
            dtype.

    Example:
    ```python
    import numpy as np

    import keras_bigmodel as kbm

    layer = kbm.layers.CrossAttention(num_heads=2)
    x, context = np.ones((1, 3, 8)), np.ones((1, 7, 12))
    layer(x, context).shape  # (1, 3, 8)
    ```

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.3.
    """

    def build(
        self,
        x_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...],
    ) -> None:
        """Makes the projections."""
        self._build_projections(x_shape[-1], context_shape[-1], x_shape[-1])

    def call(
        self,
        x: Tensor,
        context: Tensor,
        padding_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        """Returns what each token gathered, (batch, sequence, hidden_dim)."""
        padding_mask = masks.combined_padding(padding_mask, context_mask)
        if attention_mask is not None:
            attention_mask = masks.check_mask(attention_mask, "attention_mask")
            attention_mask = masks.attention_mask_to_scores(attention_mask)
        query = self._project(
            self.query_projection, x, self.num_heads, self.query_normalization
        )
        scope = DecodingScope.current()
        if scope is None:
            key, value = self._context_heads(context)
        else:
            key, value = key_value_cache.recall(
                scope,
                scope.name_for(self),
                ops.shape(x)[0],
                lambda: self._context_heads(context),
            )
            key, value = (ops.cast(x, query.dtype) for x in (key, value))
        visibility = masks.Visibility(
            ops.arange(ops.shape(query)[1], dtype="int32")[None],
            ops.arange(ops.shape(key)[2], dtype="int32")[None],
            padding_mask=padding_mask,
            attention_mask=attention_mask,
        )
        return self._attend(query, key, value, visibility, training=training)

    def _context_heads(self, context: Tensor) -> tuple[Tensor, Tensor]:
        heads = self.num_key_value_heads
        key = self._project(
            self.key_projection, context, heads, self.key_normalization
        )
        value = self._project(self.value_projection, context, heads)
        return (
            key_value_cache.heads_first(key),
            key_value_cache.heads_first(value),
        )

    def compute_output_spec(
        self, x: Tensor, *unused: Any, **unused_too: Any
    ) -> keras.KerasTensor:
        """Returns x's shape in the compute dtype."""
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)


def _check_rank(x: Tensor, name: str, rank: int) -> None:
    if len(x.shape) != rank:
        raise ValueError(
            f"`{name}` must have rank {rank}: (batch, sequence). "
            f"Received: {name}.shape={tuple(x.shape)}"
        )
