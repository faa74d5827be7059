"""Decoder-only language model."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_bigmodel import layers
from keras_bigmodel.models.arguments import check_sizes
from keras_bigmodel.models.blocks import Blocks
from keras_bigmodel.models.position_choice import PositionChoice


def decoder_lm(
    vocabulary_size: int,
    max_sequence_length: int,
    num_layers: int,
    num_heads: int,
    hidden_dim: int,
    intermediate_dim: int | None = None,
    *,
    head_dim: int | None = None,
    num_key_value_heads: int | None = None,
    position_encoding: str
    | keras.layers.Layer
    | None
    | Sequence[str | keras.layers.Layer | None] = "rotary",
    normalization: str | keras.layers.Layer = "layer",
    epsilon: float = 1e-5,
    normalize_first: bool = True,
    normalize_branch: bool = False,
    normalize_embeddings: bool = False,
    query_key_normalization: str | keras.layers.Layer | None = None,
    parallel: bool = False,
    activation: str = "gelu",
    gated: bool = False,
    use_bias: bool = True,
    attention_bias: bool | Sequence[str] | None = None,
    attention_scale: float | None = None,
    attention_soft_cap: float | None = None,
    use_sinks: bool = False,
    sliding_window: int | Sequence[int | None] | None = None,
    num_experts: int | None = None,
    experts_per_token: int = 2,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    drop_path: float = 0.0,
    scale_embeddings: float | bool = False,
    tie_embeddings: bool = True,
    logit_soft_cap: float | None = None,
    pad_id: int | None = None,
    packed: bool = False,
    dtype: Any = None,
    name: str = "decoder_lm",
) -> keras.Model:
    """Builds a decoder-only language model: GPT-2, Llama, Mistral, Gemma, ....

    Token embeddings run through causal blocks, each attention and feed-forward
    around a residual stream, to logits over the next token. Families differ in
    the arguments alone; the defaults with learned positions are GPT-2.

    Args:
        vocabulary_size: Number of tokens.
        max_sequence_length: Longest sequence, in tokens.
        num_layers: Number of blocks.
        num_heads: Query heads of each attention.
        hidden_dim: Features of the residual stream.
        intermediate_dim: Width of the feed-forward networks; default: 4
            hidden_dim.
        head_dim: Features of a head; default: hidden_dim / num_heads.
        num_key_value_heads: Key and value heads; default: num_heads.
        position_encoding: "rotary", "learned", "sinusoidal", "alibi",
            "relative" (one table for all blocks), None, or a layer; or a
            sequence of one entry a block, as in Gemma 3.
        normalization: "layer", "rms", or a layer to be copied.
        epsilon: Of the normalisations.
        normalize_first: Whether branches read the normalised stream.
        normalize_branch: Whether what a branch gives is normalised.
        normalize_embeddings: Whether the embeddings are (BLOOM).
        query_key_normalization: "layer", "rms" or a layer to be copied, for
            each head's queries and keys; None: none.
        parallel: Whether attention and feed-forward read the same stream.
        activation: Of the feed-forward networks.
        gated: Whether these are gated.
        use_bias: Whether projections add a bias.
        attention_bias: Overrides `use_bias` in the attention; may name the
            projections ("query", "key", "value", "output").
        attention_scale: Factor of the scores; default: head_dim ** -0.5.
        attention_soft_cap: Cap of the scores.
        use_sinks: Whether heads learn to attend to nothing.
        sliding_window: Positions a token looks back on, for all blocks or one
            entry a block; None: all.
        num_experts: Experts of a mixture in each block; None: no mixture.
        experts_per_token: Experts that each token is sent to.
        dropout: Share dropped of embeddings and branches in training.
        attention_dropout: Share of the attention probabilities dropped.
        drop_path: Stochastic depth of the last block; earlier ones less.
        scale_embeddings: Factor of the embeddings; True: sqrt(hidden_dim).
        tie_embeddings: Whether the output shares the embedding table.
        logit_soft_cap: Cap of the logits.
        pad_id: Id of padding, which is masked; None: no padding.
        packed: Whether the input has `segment_ids` beside `token_ids`:
            documents that share a row do not see each other, and positions
            start again with each.
        dtype: Dtype policy of all layers; default: Keras's.
        name: The model's name.

    Input shape:
        token_ids: integers, (batch, sequence); packed: a dict of `token_ids`
        and `segment_ids`, both so.

    Output shape:
        Logits, (batch, sequence, vocabulary_size).

    Raises:
        ValueError: If sizes are not positive, heads do not divide, or an
            option is unknown.

    Example:
    ```python
    import keras_bigmodel as kbm
    from keras import ops

    model = kbm.models.decoder_lm(
        vocabulary_size=100, max_sequence_length=32, num_layers=2,
        num_heads=2, hidden_dim=16,
    )
    model(ops.array([[5, 17, 33]])).shape  # (1, 3, 100)
    ```

    References:
        Radford et al. 2019, "Language Models are Unsupervised Multitask
        Learners", section 2.3 (GPT-2); Touvron et al. 2023, "Llama 2", section
        2.2; Jiang et al. 2023, "Mistral 7B", section 2; Gemma Team 2024,
        "Gemma 2", section 2.
    """
    check_sizes(
        vocabulary_size=vocabulary_size,
        max_sequence_length=max_sequence_length,
        num_layers=num_layers,
        num_heads=num_heads,
        hidden_dim=hidden_dim,
        intermediate_dim=intermediate_dim,
    )
    positions = PositionChoice(
        position_encoding,
        max_sequence_length=max_sequence_length,
        num_heads=num_heads,
        causal=True,
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
        parallel=parallel,
        activation=activation,
        gated=gated,
        use_bias=use_bias,
        attention_bias=attention_bias,
        attention_scale=attention_scale,
        attention_soft_cap=attention_soft_cap,
        use_sinks=use_sinks,
        sliding_window=sliding_window,
        num_experts=num_experts,
        experts_per_token=experts_per_token,
        dropout=dropout,
        attention_dropout=attention_dropout,
        drop_path=drop_path,
        dtype=dtype,
    )
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    inputs, segments = token_ids, {}
    if packed:
        segment_ids = keras.Input((None,), dtype="int32", name="segment_ids")
        inputs = {"token_ids": token_ids, "segment_ids": segment_ids}
        segments = {
            "segment_ids": segment_ids,
            "positions": layers.SegmentPositions(name="segment_positions")(
                segment_ids
            ),
        }
    embedding = layers.TokenEmbedding(
        vocabulary_size,
        hidden_dim,
        pad_id=pad_id,
        scale=scale_embeddings,
        logit_soft_cap=logit_soft_cap,
        max_sequence_length=max_sequence_length,
        dtype=dtype,
        name="token_embedding",
    )
    x = positions.embed(embedding(token_ids), segments.get("positions"))
    if normalize_embeddings:
        x = blocks.new_normalization("embedding_normalization")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, dtype=dtype, name="dropout")(x)
    shared_bias = positions.shared_bias(x)
    for index in range(num_layers):
        x = blocks.decoder_block(index)(
            x, attention_bias=shared_bias, **segments
        )
    if blocks.need_final_normalization:
        x = blocks.new_normalization("final_normalization")(x)
    if not tie_embeddings:
        embedding = layers.TokenEmbedding(
            vocabulary_size,
            hidden_dim,
            logit_soft_cap=logit_soft_cap,
            dtype=dtype,
            name="output_projection",
        )
    logits = embedding(x, reverse=True)
    return keras.Model(inputs, logits, name=name)
