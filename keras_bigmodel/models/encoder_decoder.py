"""Encoder-decoder Transformer.

The model is one flat functional graph, so that encoder and decoder may share
their embedding and still be saved and loaded. What the decoder sees of the
encoder passes through one `EncoderContext` layer, "context" and, where there
is padding, "context_mask", both batch first. `encoder_and_decoder(model)` cuts
the model there: the encoder runs once, the decoder under a `DecodingScope`
step by step.
"""

import dataclasses
from typing import Any

import keras
from keras import ops

from keras_bigmodel import layers
from keras_bigmodel.models.arguments import check_sizes
from keras_bigmodel.models.blocks import Blocks
from keras_bigmodel.models.position_choice import PositionChoice

Tensor = Any


def encoder_decoder(
    source_vocabulary_size: int,
    target_vocabulary_size: int,
    max_sequence_length: int,
    num_layers: int,
    num_heads: int,
    hidden_dim: int,
    intermediate_dim: int | None = None,
    *,
    num_decoder_layers: int | None = None,
    share_embeddings: bool = False,
    tie_embeddings: bool = True,
    output_bias: bool = False,
    head_dim: int | None = None,
    num_key_value_heads: int | None = None,
    position_encoding: str | keras.layers.Layer | None = "sinusoidal",
    normalization: str | keras.layers.Layer = "layer",
    epsilon: float = 1e-5,
    normalize_first: bool = True,
    normalize_embeddings: bool = False,
    query_key_normalization: str | keras.layers.Layer | None = None,
    activation: str = "relu",
    gated: bool = False,
    use_bias: bool = True,
    attention_bias: bool | tuple[str, ...] | None = None,
    attention_scale: float | None = None,
    attention_soft_cap: float | None = None,
    sliding_window: int | None = None,
    num_experts: int | None = None,
    experts_per_token: int = 2,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    drop_path: float = 0.0,
    scale_embeddings: float | bool = True,
    logit_soft_cap: float | None = None,
    pad_id: int | None = None,
    dtype: Any = None,
    name: str = "encoder_decoder",
) -> keras.Model:
    """Builds an encoder-decoder Transformer: translation, T5, BART, Marian.

    The encoder reads the source in both directions; the decoder writes the
    target, looking at its own past and at the encoder's output. The defaults
    are the Transformer of 2017 except that blocks normalise first, which
    trains without warm-up; `normalize_first=False` is the paper's.
    `encoder_and_decoder(model)` gives the two halves as models of their own.

    Targets are not masked: padding stands behind them, where no token looks.
    Leave it out of the loss by sample weights, as `seq2seq_dataset` gives
    them, or by `kbm.losses.TokenCrossentropy(ignored_label=...)`.

    Args:
        source_vocabulary_size: Number of source tokens.
        target_vocabulary_size: Number of target tokens.
        max_sequence_length: Longest source and longest target, in tokens.
        num_layers: Number of the encoder's blocks.
        num_heads: Heads of each attention.
        hidden_dim: Features of the residual stream.
        intermediate_dim: Width of the feed-forward networks; default: 4
            hidden_dim.
        num_decoder_layers: Number of the decoder's blocks; default:
            num_layers.
        share_embeddings: Whether source and target share one table, which
            needs one vocabulary.
        tie_embeddings: Whether the output shares the target's table.
        output_bias: Whether the logits add a bias (BART, Marian).
        head_dim: Features of a head; default: hidden_dim / num_heads.
        num_key_value_heads: Key and value heads; default: num_heads.
        position_encoding: "sinusoidal", "learned", "rotary", "alibi",
            "relative" (one table for the encoder and one for the decoder),
            None, or a layer to be copied for each of the two.
        normalization: "layer", "rms", or a layer to be copied.
        epsilon: Of the normalisations.
        normalize_first: Whether branches read the normalised stream.
        normalize_embeddings: Whether the embeddings are normalised.
        query_key_normalization: "layer", "rms" or a layer to be copied, for
            each head's queries and keys; None: none.
        activation: Of the feed-forward networks.
        gated: Whether these are gated.
        use_bias: Whether projections add a bias.
        attention_bias: Overrides `use_bias` in the attention; may name the
            projections ("query", "key", "value", "output").
        attention_scale: Factor of the scores; default: head_dim ** -0.5.
        attention_soft_cap: Cap of the scores.
        sliding_window: Positions a token sees in its own sequence; None: all.
        num_experts: Experts of a mixture in each block; None: no mixture.
        experts_per_token: Experts that each token is sent to.
        dropout: Share dropped of embeddings and branches in training.
        attention_dropout: Share of the attention probabilities dropped.
        drop_path: Stochastic depth of the last blocks; earlier ones less.
        scale_embeddings: Factor of the embeddings; True: sqrt(hidden_dim).
        logit_soft_cap: Cap of the logits.
        pad_id: Id of padding in sources, which is masked; None: no padding.
        dtype: Dtype policy of all layers; default: Keras's.
        name: The model's name.

    Input shape:
        A dict of `source_ids`, integers (batch, source), and `target_ids`,
        integers (batch, target).

    Output shape:
        Logits, (batch, target, target_vocabulary_size).

    Raises:
        ValueError: If sizes are not positive, heads do not divide, an option
            is unknown, or a table is shared between vocabularies of two sizes.

    Example:
    ```python
    import keras_bigmodel as kbm
    from keras import ops

    model = kbm.models.encoder_decoder(
        source_vocabulary_size=50, target_vocabulary_size=60,
        max_sequence_length=16, num_layers=2, num_heads=2, hidden_dim=8,
    )
    model({"source_ids": ops.array([[5, 7, 11]]),
           "target_ids": ops.array([[1, 2]])}).shape  # (1, 2, 60)
    ```

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3; Raffel et
        al. 2020, "Exploring the Limits of Transfer Learning" (T5), section
        2.1; Lewis et al. 2020, "BART", section 2.1.
    """
    check_sizes(
        source_vocabulary_size=source_vocabulary_size,
        target_vocabulary_size=target_vocabulary_size,
        max_sequence_length=max_sequence_length,
        num_layers=num_layers,
        num_decoder_layers=num_decoder_layers,
        num_heads=num_heads,
        hidden_dim=hidden_dim,
        intermediate_dim=intermediate_dim,
    )
    if share_embeddings and source_vocabulary_size != target_vocabulary_size:
        raise ValueError(
            "Source and target can share embeddings when they share a "
            "vocabulary. Received: source_vocabulary_size="
            f"{source_vocabulary_size}, target_vocabulary_size="
            f"{target_vocabulary_size}, share_embeddings=True"
        )

    def positions(side: str) -> PositionChoice:
        return PositionChoice(
            position_encoding,
            max_sequence_length=max_sequence_length,
            num_heads=num_heads,
            causal=side == "decoder",
            dtype=dtype,
            name=f"{side}_position_encoding",
        )

    def embedding(size: int, name: str) -> layers.TokenEmbedding:
        return layers.TokenEmbedding(
            size,
            hidden_dim,
            scale=scale_embeddings,
            logit_soft_cap=logit_soft_cap,
            max_sequence_length=max_sequence_length,
            dtype=dtype,
            name=name,
        )

    encoder = _Stack(
        name="encoder",
        blocks=Blocks(
            positions=positions("encoder"),
            num_layers=num_layers,
            num_heads=num_heads,
            intermediate_dim=intermediate_dim or 4 * hidden_dim,
            head_dim=head_dim,
            num_key_value_heads=num_key_value_heads,
            normalization=normalization,
            epsilon=epsilon,
            normalize_first=normalize_first,
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
        ),
        normalize_embeddings=normalize_embeddings,
    )
    decoder = dataclasses.replace(
        encoder,
        name="decoder",
        blocks=dataclasses.replace(
            encoder.blocks,
            positions=positions("decoder"),
            num_layers=num_decoder_layers or num_layers,
        ),
    )
    if share_embeddings:
        source = target = embedding(source_vocabulary_size, "token_embedding")
    else:
        source = embedding(source_vocabulary_size, "source_embedding")
        target = embedding(target_vocabulary_size, "target_embedding")
    source_ids = keras.Input((None,), dtype="int32", name="source_ids")
    target_ids = keras.Input((None,), dtype="int32", name="target_ids")
    passed = {}
    if pad_id is not None:
        passed["context_mask"] = ops.not_equal(source_ids, pad_id)
    passed["context"] = encoder.encode(
        source(source_ids), passed.get("context_mask")
    )
    passed = layers.EncoderContext(dtype=dtype, name="context")(passed)
    x = decoder.decode(target(target_ids), **passed)
    output = target
    if not tie_embeddings:
        output = embedding(target_vocabulary_size, "output_projection")
    logits = output(x, reverse=True)
    if output_bias:
        logits = layers.Bias(dtype=dtype, name="output_bias")(logits)
    inputs = {"source_ids": source_ids, "target_ids": target_ids}
    return keras.Model(inputs, logits, name=name)


@dataclasses.dataclass(frozen=True)
class _Stack:
    """Runs the blocks of one side, from embeddings to normalised states."""

    name: str
    blocks: Blocks
    normalize_embeddings: bool

    def encode(self, x: Tensor, padding_mask: Tensor | None) -> Tensor:
        x, shared_bias = self._begin(x)
        for index in range(self.blocks.num_layers):
            x = self.blocks.encoder_block(index)(
                x, padding_mask=padding_mask, attention_bias=shared_bias
            )
        return self._finish(x)

    def decode(
        self, x: Tensor, context: Tensor, context_mask: Tensor | None = None
    ) -> Tensor:
        x, shared_bias = self._begin(x)
        for index in range(self.blocks.num_layers):
            x = self.blocks.decoder_block(index, cross_attention=True)(
                x,
                context,
                context_mask=context_mask,
                attention_bias=shared_bias,
            )
        return self._finish(x)

    def _begin(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.blocks.positions.embed(x)
        if self.normalize_embeddings:
            x = self._normalized(x, "embedding_normalization")
        if self.blocks.dropout:
            x = keras.layers.Dropout(
                self.blocks.dropout,
                dtype=self.blocks.dtype,
                name=f"{self.name}_dropout",
            )(x)
        return x, self.blocks.positions.shared_bias(x)

    def _finish(self, x: Tensor) -> Tensor:
        if not self.blocks.need_final_normalization:
            return x
        return self._normalized(x, "normalization")

    def _normalized(self, x: Tensor, name: str) -> Tensor:
        return self.blocks.new_normalization(f"{self.name}_{name}")(x)
