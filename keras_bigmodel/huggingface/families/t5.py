"""T5: an encoder-decoder with relative positions and no biases."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_bigmodel import layers, models
from keras_bigmodel.huggingface.describe_encoder_decoder import (
    describe_encoder_decoder,
)
from keras_bigmodel.huggingface.families.bart import DecoderStart, PadId
from keras_bigmodel.huggingface.family import Family
from keras_bigmodel.huggingface.fields import (
    Field,
    Fixed,
    Flag,
    Irrelevant,
    Number,
    OptionalSize,
    Size,
    Word,
)
from keras_bigmodel.huggingface.rows import Row, linear, normalization
from keras_bigmodel.huggingface.transforms import SAME, TRANSPOSED, Scaled

# T5 knows no longest sequence; this is what it was trained on.
LONGEST = 512
FEED_FORWARDS = {
    "relu": ("relu", False),
    "gated-gelu": ("gelu_tanh", True),
    "gated-silu": ("silu", True),
    "gated-relu": ("relu", True),
    "gelu": ("gelu", False),
    "gelu_new": ("gelu_tanh", False),
    "silu": ("silu", False),
}


class FeedForwardKind(Word):
    """Activation of the feed-forward networks, and whether they are gated."""

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns both arguments."""
        activation, gated = super().read(config)[self.option]
        return {"activation": activation, "gated": gated}

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the word for both."""
        return {
            self.key: self.to_entry((options["activation"], options["gated"]))
        }


class Relative(Field):
    """The buckets of the relative positions."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Their number and reach."""
        return (
            "relative_attention_num_buckets",
            "relative_attention_max_distance",
        )

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the encoding, which the builder fits to each side."""
        heads = config.get("num_heads", 8)
        sizes = [
            config.get(key, n)
            for key, n in zip(self.keys, (32, 128), strict=True)
        ]
        for size in (heads, *sizes):
            if type(size) is not int or not 0 < size < 2**20:
                raise self.wrong(size, "positive integers")
        return {
            "position_encoding": layers.RelativePositionEncoding(
                heads, num_buckets=sizes[0], max_distance=sizes[1]
            )
        }

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns number and reach."""
        encoding = options["position_encoding"][0]
        if not isinstance(encoding, layers.RelativePositionEncoding):
            raise ValueError("the family's positions are relative")
        sizes = (encoding.num_buckets, encoding.max_distance)
        return dict(zip(self.keys, sizes, strict=True))


class Tied(Flag):
    """Whether the logits share the embedding table.

    Where they do, the decoder's states are divided by sqrt(d_model) first; the
    last normalisation's scale takes that in. From transformers 5 on
    `scale_decoder_outputs` says what `tie_word_embeddings` said before.
    """

    @property
    def keys(self) -> tuple[str, ...]:
        """Both entries."""
        return ("tie_word_embeddings", "scale_decoder_outputs")

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns whether they do."""
        value = config.get("tie_word_embeddings", self.default)
        value = config.get("scale_decoder_outputs", value)
        return {self.option: self.to_option(value)}


def _build(
    vocabulary_size: int, max_sequence_length: int, **options: Any
) -> keras.Model:
    return models.encoder_decoder(
        vocabulary_size, vocabulary_size, max_sequence_length, **options
    )


def _describe(model: keras.Model) -> dict[str, Any]:
    found = describe_encoder_decoder(model)
    return {**found, "vocabulary_size": found["target_vocabulary_size"]}


def _side_rows(side: str) -> list[Row]:
    block, ours = f"{side}.block.{{i}}", f"{side}_block_{{i}}"
    branches = [("SelfAttention", "self_attention")]
    if side == "decoder":
        branches.append(("EncDecAttention", "cross_attention"))
    rows = []
    for index, (theirs, here) in enumerate(branches):
        there = f"{block}.layer.{index}"
        rows += [
            *normalization(
                f"{there}.layer_norm", f"{ours}/{here}_normalization"
            ),
            *(
                row
                for letter, name in zip(
                    "qkvo", ("query", "key", "value", "output"), strict=True
                )
                for row in linear(
                    f"{there}.{theirs}.{letter}",
                    f"{ours}/{here}/{name}",
                    TRANSPOSED,
                )
            ),
        ]
    there = f"{block}.layer.{len(branches)}"
    dense, here = f"{there}.DenseReluDense", f"{ours}/feed_forward"
    return [
        *rows,
        Row(
            f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            f"{side}_position_encoding_bias/{side}_position_encoding/embeddings",
        ),
        *normalization(
            f"{there}.layer_norm", f"{ours}/feed_forward_normalization"
        ),
        *linear(f"{dense}.wo", f"{here}/down", TRANSPOSED),
    ]


def _rows(options: dict[str, Any]) -> list[Row]:
    last = SAME
    if options["tie_embeddings"]:
        last = Scaled(options["hidden_dim"] ** -0.5)
    up = [("wi", "up")]
    if options["gated"]:
        up = [("wi_0", "gate"), ("wi_1", "up")]
    return [
        Row("shared.weight", "token_embedding/embeddings"),
        Row("lm_head.weight", "output_projection/embeddings"),
        *_side_rows("encoder"),
        *_side_rows("decoder"),
        *(
            row
            for side, index in (("encoder", 1), ("decoder", 2))
            for theirs, ours in up
            for row in linear(
                f"{side}.block.{{i}}.layer.{index}.DenseReluDense.{theirs}",
                f"{side}_block_{{i}}/feed_forward/{ours}",
                TRANSPOSED,
            )
        ),
        *normalization("encoder.final_layer_norm", "encoder_normalization"),
        *normalization(
            "decoder.final_layer_norm", "decoder_normalization", last
        ),
    ]


T5 = Family(
    model_type="t5",
    architectures=("T5ForConditionalGeneration",),
    build=_build,
    describe=_describe,
    fields=(
        Size("vocab_size", "vocabulary_size", 32128),
        Size("n_positions", "max_sequence_length", LONGEST),
        Size("d_model", "hidden_dim", 512),
        Size("d_kv", "head_dim", 64),
        Size("d_ff", "intermediate_dim", 2048),
        Size("num_layers", "num_layers", 6),
        OptionalSize("num_decoder_layers", "num_decoder_layers", None),
        Size("num_heads", "num_heads", 8),
        Relative("relative_attention_num_buckets"),
        Number("layer_norm_epsilon", "epsilon", 1e-6),
        FeedForwardKind(
            "feed_forward_proj", "activation", "relu", FEED_FORWARDS
        ),
        Tied("tie_word_embeddings", "tie_embeddings", True),
        PadId("pad_token_id", "pad_id", 0),
        DecoderStart("decoder_start_token_id", default=None),
        Fixed("is_encoder_decoder", default=True),
        Irrelevant(
            names=tuple(
                """
                dense_act_fn is_gated_act output_past
                bos_token_id eos_token_id id2label label2id is_decoder
                """.split()
            )
        ),
    ),
    rows=_rows,
    constants={
        "share_embeddings": True,
        "normalization": "rms",
        "use_bias": False,
        "attention_scale": 1.0,
        "scale_embeddings": False,
    },
    # Transformers 5 leaves out a table of the logits that equals the shared.
    copied={"lm_head.weight": "shared.weight"},
    tied={
        "lm_head.weight": "shared.weight",
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
    },
    ignored=(
        r"decoder\.block\.0\.layer\.1\.EncDecAttention"
        r"\.relative_attention_bias\.weight",
    ),
)
