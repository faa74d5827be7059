"""Encoder: text to hidden states."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_bigmodel import layers
from keras_bigmodel.models.arguments import check_sizes
from keras_bigmodel.models.blocks import Blocks
from keras_bigmodel.models.position_choice import PositionChoice


def encoder(
    vocabulary_size: int,
    max_sequence_length: int,
    num_layers: int,
    num_heads: int,
    hidden_dim: int,
    intermediate_dim: int | None = None,
    *,
    embedding_dim: int | None = None,
    num_segments: int = 0,
    pooler: bool = False,
    head_dim: int | None = None,
    num_key_value_heads: int | None = None,
    position_encoding: str | keras.layers.Layer | None = "rotary",
    normalization: str | keras.layers.Layer = "layer",
    epsilon: float = 1e-5,
    normalize_first: bool = True,
    normalize_branch: bool = False,
    normalize_embeddings: bool = False,
    query_key_normalization: str | keras.layers.Layer | None = None,
    activation: str = "gelu",
    gated: bool = False,
    use_bias: bool = True,
    attention_bias: bool | Sequence[str] | None = None,
    attention_scale: float | None = None,
    attention_soft_cap: float | None = None,
    sliding_window: int | Sequence[int | None] | None = None,
    num_experts: int | None = None,
    experts_per_token: int = 2,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    drop_path: float = 0.0,
    scale_embeddings: float | bool = False,
    pad_id: int | None = None,
    dtype: Any = None,
    name: str = "encoder",
) -> keras.Model:
    """Builds an encoder: BERT, RoBERTa, DistilBERT, ELECTRA, ....

    Every token sees all others, before and after it. The result is the trunk
    of `masked_lm`, `text_classifier`, `token_classifier` and
    `span_classifier`, which share its weights. BERT has learned positions,
    `normalize_first=False`, `normalize_embeddings=True`, `num_segments=2`,
    `pooler=True` and `epsilon=1e-12`.

    Args:
        vocabulary_size: Number of tokens.
        max_sequence_length: Longest sequence, in tokens.
        num_layers: Number of blocks.
        num_heads: Heads of each attention.
        hidden_dim: Features of the residual stream.
        intermediate_dim: Width of the feed-forward networks; default: 4
            hidden_dim.
        embedding_dim: Features of the embeddings, if a projection widens them
            to `hidden_dim` (ELECTRA); default: hidden_dim.
        num_segments: Kinds of segments, such as question and text, that
            `segment_ids` tells apart; 0: the model has no such input.
        pooler: Whether a Dense layer with tanh makes one vector of the first
            token's hidden state.
        head_dim: Features of a head; default: hidden_dim / num_heads.
        num_key_value_heads: Key and value heads; default: num_heads.
        position_encoding: "rotary", "learned", "sinusoidal", "alibi",
            "relative" (one table for all blocks), None, or a layer.
        normalization: "layer", "rms", or a layer to be copied.
        epsilon: Of the normalisations.
        normalize_first: Whether branches read the normalised stream.
        normalize_branch: Whether what a branch gives is normalised.
        normalize_embeddings: Whether the embeddings are.
        query_key_normalization: "layer", "rms" or a layer to be copied, for
            each head's queries and keys; None: none.
        activation: Of the feed-forward networks.
        gated: Whether these are gated.
        use_bias: Whether projections add a bias.
        attention_bias: Overrides `use_bias` in the attention; may name the
            projections ("query", "key", "value", "output").
        attention_scale: Factor of the scores; default: head_dim ** -0.5.
        attention_soft_cap: Cap of the scores.
        sliding_window: Positions a token looks to either side, itself
            included, for all blocks or one entry a block; None: all.
        num_experts: Experts of a mixture in each block; None: no mixture.
        experts_per_token: Experts that each token is sent to.
        dropout: Share dropped of embeddings and branches in training.
        attention_dropout: Share of the attention probabilities dropped.
        drop_path: Stochastic depth of the last block; earlier ones less.
        scale_embeddings: Factor of the embeddings; True: sqrt(embedding_dim).
        pad_id: Id of padding, which is masked; None: no padding.
        dtype: Dtype policy of all layers; default: Keras's.
        name: The model's name.

    Input shape:
        token_ids: integers, (batch, sequence); with `num_segments` a dict of
        `token_ids` and `segment_ids`, both so.

    Output shape:
        Hidden states, (batch, sequence, hidden_dim), those of the layer
        "hidden_states"; with `pooler` a dict of these "hidden_states" and of
        "pooled", (batch, hidden_dim).

    Masking:
        Padding is masked; the hidden states carry the mask.

    Raises:
        ValueError: If sizes are not positive, heads do not divide, or an
            option is unknown.

    Example:
    ```python
    import keras_bigmodel as kbm
    from keras import ops

    trunk = kbm.models.encoder(100, 32, num_layers=2, num_heads=2,
                               hidden_dim=16, pad_id=0)
    trunk(ops.array([[5, 17, 33]])).shape  # (1, 3, 16)
    ```

    References:
        Devlin et al. 2019, "BERT", section 3; Liu et al. 2019, "RoBERTa";
        Clark et al. 2020, "ELECTRA", section 3.2 (the narrower embeddings).
        By default blocks normalise first and positions are rotary, which the
        papers' models are not.
    """
    check_sizes(
        vocabulary_size=vocabulary_size,
        max_sequence_length=max_sequence_length,
        num_layers=num_layers,
        num_heads=num_heads,
        hidden_dim=hidden_dim,
        intermediate_dim=intermediate_dim,
        embedding_dim=embedding_dim,
        num_segments=num_segments or None,
    )
    positions = PositionChoice(
        position_encoding,
        max_sequence_length=max_sequence_length,
        num_heads=num_heads,
        causal=False,
        dtype=dtype,
    )
    blocks = Blocks(
        positions=positions,
        num_layers=num_layers,
        num_heads=num_heads,
        intermediate_dim=intermediate_dim or 4 * hidden_dim,
        head_dim=head_dim,
        num_key_value_heads=num_key_value_heads,
        normalization=normalization,
        epsilon=epsilon,
        normalize_first=normalize_first,
        normalize_branch=normalize_branch,
        query_key_normalization=query_key_normalization,
        activation=activation,
        gated=gated,
        use_bias=use_bias,
        attention_bias=attention_bias,
        attention_scale=attention_scale,
        attention_soft_cap=attention_soft_cap,
        sliding_window=sliding_window,
        num_experts=num_experts,
        experts_per_token=experts_per_token,
        dropout=dropout,
        attention_dropout=attention_dropout,
        drop_path=drop_path,
        dtype=dtype,
    )
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    inputs = token_ids
    x = layers.TokenEmbedding(
        vocabulary_size,
        embedding_dim or hidden_dim,
        pad_id=pad_id,
        scale=scale_embeddings,
        max_sequence_length=max_sequence_length,
        dtype=dtype,
        name="token_embedding",
    )(token_ids)
    if num_segments:
        segment_ids = keras.Input((None,), dtype="int32", name="segment_ids")
        inputs = {"token_ids": token_ids, "segment_ids": segment_ids}
        x = layers.SegmentEmbedding(
            num_segments, dtype=dtype, name="segment_embedding"
        )(x, segment_ids)
    x = positions.embed(x)
    if normalize_embeddings:
        x = blocks.new_normalization("embedding_normalization")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, dtype=dtype, name="dropout")(x)
    if embedding_dim not in (None, hidden_dim):
        x = keras.layers.Dense(
            hidden_dim, dtype=dtype, name="embedding_projection"
        )(x)
    shared_bias = positions.shared_bias(x)
    for index in range(num_layers):
        x = blocks.encoder_block(index)(x, attention_bias=shared_bias)
    if blocks.need_final_normalization:
        x = blocks.new_normalization("final_normalization")(x)
    hidden = keras.layers.Identity(dtype=dtype, name="hidden_states")(x)
    if not pooler:
        return keras.Model(inputs, hidden, name=name)
    first = layers.SequencePooling("first", dtype=dtype, name="first_token")
    pooled = keras.layers.Dense(
        hidden_dim, activation="tanh", dtype=dtype, name="pooler"
    )(first(hidden))
    outputs = {"hidden_states": hidden, "pooled": pooled}
    return keras.Model(inputs, outputs, name=name)
