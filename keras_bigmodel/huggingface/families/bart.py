"""BART and Marian: encoder-decoders that normalise after each branch."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from keras_bigmodel import layers, models
from keras_bigmodel.huggingface.describe_encoder_decoder import (
    describe_encoder_decoder,
)
from keras_bigmodel.huggingface.family import Family
from keras_bigmodel.huggingface.fields import (
    ACTIVATIONS,
    Field,
    Fixed,
    Flag,
    Irrelevant,
    Size,
    Word,
)
from keras_bigmodel.huggingface.rows import Row, linear, normalization
from keras_bigmodel.huggingface.transforms import IN_ONE_BATCH, TRANSPOSED

# Rows of the table of positions before that of the first token.
OFFSET = 2


@dataclasses.dataclass(frozen=True)
class BothSides(Size):
    """A size that encoder and decoder must share.

    Args:
        other: The decoder's entry.
    """

    other: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Both entries."""
        return (self.key, self.other)

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the size."""
        sizes = [config.get(key, self.default) for key in self.keys]
        if sizes[0] != sizes[1]:
            raise ValueError(f"{self.keys} must be equal, not {sizes}")
        return {self.option: self.to_option(sizes[0])}

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns both entries."""
        return dict.fromkeys(self.keys, options[self.option])


class EmbeddingScale(Flag):
    """Whether embeddings are multiplied by sqrt(d_model)."""

    def to_entry(self, value: Any) -> bool:
        """Returns whether there is a factor."""
        return value != 1


class PadId(Field):
    """The id of padding in sources."""

    def to_option(self, value: Any) -> int:
        """Returns the id."""
        if type(value) is not int or not 0 <= value < 2**31:
            raise self.wrong(value, "an id")
        return value


class DecoderStart(Field):
    """The id that answers begin with, where no tokenizer names another.

    Models do not keep it: `load` gives it to the tokenizer.
    """

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns no argument."""
        return {}

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the default, or the id of padding."""
        start_id = options["pad_id"] if self.default is None else self.default
        return {self.key: start_id}


def _build(positions: str, **options: Any) -> keras.Model:
    encoding = (
        layers.LearnedPositionEncoding(
            options["max_sequence_length"],
            offset=OFFSET,
            dtype=options.get("dtype"),
        )
        if positions == "learned"
        else layers.SinusoidalPositionEncoding(
            interleaved=False, dtype=options.get("dtype")
        )
    )
    vocabulary = options.pop("vocabulary_size")
    return models.encoder_decoder(
        vocabulary, vocabulary, position_encoding=encoding, **options
    )


def _describe(model: keras.Model) -> dict[str, Any]:
    found = describe_encoder_decoder(model)
    return {**found, "vocabulary_size": found["target_vocabulary_size"]}


def _side_rows(side: str) -> list[Row]:
    block, ours = f"model.{side}.layers.{{i}}", f"{side}_block_{{i}}"
    branches = {"self_attn": "self_attention"}
    if side == "decoder":
        branches["encoder_attn"] = "cross_attention"
    projections = {
        "q_proj": "query",
        "k_proj": "key",
        "v_proj": "value",
        "out_proj": "output",
    }
    return [
        Row(
            f"model.{side}.embed_positions.weight",
            f"{side}_position_encoding/embeddings",
        ),
        *normalization(
            f"model.{side}.layernorm_embedding",
            f"{side}_embedding_normalization",
        ),
        *(
            row
            for theirs, here in branches.items()
            for row in normalization(
                f"{block}.{theirs}_layer_norm", f"{ours}/{here}_normalization"
            )
        ),
        *(
            row
            for theirs, here in branches.items()
            for name, projection in projections.items()
            for row in linear(
                f"{block}.{theirs}.{name}",
                f"{ours}/{here}/{projection}",
                TRANSPOSED,
            )
        ),
        *linear(f"{block}.fc1", f"{ours}/feed_forward/up", TRANSPOSED),
        *linear(f"{block}.fc2", f"{ours}/feed_forward/down", TRANSPOSED),
        *normalization(
            f"{block}.final_layer_norm", f"{ours}/feed_forward_normalization"
        ),
    ]


def _rows(options: dict[str, Any]) -> list[Row]:
    return [
        Row("model.shared.weight", "token_embedding/embeddings"),
        Row("lm_head.weight", "output_projection/embeddings"),
        Row("final_logits_bias", "output_bias/bias", IN_ONE_BATCH),
        *_side_rows("encoder"),
        *_side_rows("decoder"),
    ]


_FIELDS = (
    Size("vocab_size", "vocabulary_size", 50265),
    Size("max_position_embeddings", "max_sequence_length", 1024),
    Size("d_model", "hidden_dim", 1024),
    Size("encoder_layers", "num_layers", 12),
    Size("decoder_layers", "num_decoder_layers", 12),
    BothSides(
        "encoder_attention_heads",
        "num_heads",
        16,
        other="decoder_attention_heads",
    ),
    BothSides(
        "encoder_ffn_dim", "intermediate_dim", 4096, other="decoder_ffn_dim"
    ),
    Word("activation_function", "activation", "gelu", ACTIVATIONS),
    EmbeddingScale("scale_embedding", "scale_embeddings", False),
    Flag("tie_word_embeddings", "tie_embeddings", True),
    PadId("pad_token_id", "pad_id", 1),
    Fixed("is_encoder_decoder", default=True),
    Fixed("normalize_before", default=False),
    Fixed("add_final_layer_norm", default=False),
    Irrelevant(
        names=tuple(
            """
            encoder_layerdrop decoder_layerdrop init_std classif_dropout
            bos_token_id eos_token_id id2label label2id is_decoder
            num_hidden_layers classifier_dropout num_labels
            """.split()
        )
    ),
)
BART = Family(
    model_type="bart",
    architectures=("BartForConditionalGeneration", "BartModel"),
    build=_build,
    describe=_describe,
    fields=(
        *_FIELDS,
        DecoderStart("decoder_start_token_id", default=2),
        Fixed("normalize_embedding", default=True),
        Fixed("add_bias_logits", default=False),
        Fixed("static_position_embeddings", default=False),
    ),
    rows=_rows,
    constants={
        "positions": "learned",
        "share_embeddings": True,
        "normalize_first": False,
        "normalize_embeddings": True,
        "output_bias": True,
    },
    prefix="model.",
    tied={
        name: "model.shared.weight"
        for name in (
            "lm_head.weight",
            "model.encoder.embed_tokens.weight",
            "model.decoder.embed_tokens.weight",
        )
    },
)
MARIAN = dataclasses.replace(
    BART,
    model_type="marian",
    architectures=("MarianMTModel",),
    fields=(
        *_FIELDS,
        DecoderStart("decoder_start_token_id", default=None),
        Fixed("share_encoder_decoder_embeddings", default=True),
        Fixed("normalize_embedding", default=False),
        Fixed("static_position_embeddings", default=True),
        Irrelevant(names=("decoder_vocab_size", "add_bias_logits")),
    ),
    constants={
        **BART.constants,
        "positions": "sinusoidal",
        "normalize_embeddings": False,
    },
    # The sines that the model computes itself.
    ignored=(r"model\.(en|de)coder\.embed_positions\.weight",),
)
