"""Llama 2, 3 and their kin: Mistral, Mixtral, Qwen 2 and Qwen 3."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras_bigmodel import models
from keras_bigmodel.huggingface.describe_decoder import describe_decoder
from keras_bigmodel.huggingface.family import Family
from keras_bigmodel.huggingface.fields import (
    ACTIVATIONS,
    Field,
    Fixed,
    Flag,
    Irrelevant,
    Number,
    OptionalSize,
    PadId,
    Size,
    Word,
)
from keras_bigmodel.huggingface.rotary_fields import Rotary, Windows
from keras_bigmodel.huggingface.rows import Row, linear, normalization
from keras_bigmodel.huggingface.transforms import (
    SAME,
    STACKED,
    TRANSPOSED,
    Same,
)

PROJECTIONS = ("query", "key", "value", "output")


class Biases(Field):
    """Whether the attention's projections have biases: all or none."""

    def to_option(self, value: Any) -> tuple[str, ...]:
        """Returns the projections that have one."""
        if type(value) is not bool:
            raise self.wrong(value, "true or false")
        return PROJECTIONS if value else ()

    def to_entry(self, value: Any) -> bool:
        """Returns whether all have one."""
        if tuple(value) not in (PROJECTIONS, ()):
            raise ValueError(
                f"{self.key} is about all projections, not {value}"
            )
        return bool(value)


def decoder_rows(norm: Same = SAME) -> list[Row]:
    """Returns the rows in Llama's names.

    Args:
        norm: The transform of the normalisations' scales.
    """
    block, ours = "model.layers.{i}", "decoder_block_{i}"
    there, here = f"{block}.self_attn", f"{ours}/self_attention"
    return [
        Row("model.embed_tokens.weight", "token_embedding/embeddings"),
        Row("lm_head.weight", "output_projection/embeddings"),
        *linear(f"{there}.q_proj", f"{here}/query", TRANSPOSED),
        *linear(f"{there}.k_proj", f"{here}/key", TRANSPOSED),
        *linear(f"{there}.v_proj", f"{here}/value", TRANSPOSED),
        *linear(f"{there}.o_proj", f"{here}/output", TRANSPOSED),
        *linear(
            f"{block}.mlp.gate_proj", f"{ours}/feed_forward/gate", TRANSPOSED
        ),
        *linear(f"{block}.mlp.up_proj", f"{ours}/feed_forward/up", TRANSPOSED),
        *linear(
            f"{block}.mlp.down_proj", f"{ours}/feed_forward/down", TRANSPOSED
        ),
        *normalization(f"{there}.q_norm", f"{here}/query_normalization", norm),
        *normalization(f"{there}.k_norm", f"{here}/key_normalization", norm),
        *normalization("model.norm", "final_normalization", norm),
    ]


def pre_normalized_rows(options: dict[str, Any]) -> list[Row]:
    """Returns the rows of blocks that normalise what branches read."""
    block, ours = "model.layers.{i}", "decoder_block_{i}"
    return [
        *decoder_rows(),
        *normalization(
            f"{block}.input_layernorm", f"{ours}/self_attention_normalization"
        ),
        *normalization(
            f"{block}.post_attention_layernorm",
            f"{ours}/feed_forward_normalization",
        ),
    ]


def _mixture_rows(options: dict[str, Any]) -> list[Row]:
    there, here = (
        "model.layers.{i}.block_sparse_moe",
        "decoder_block_{i}/feed_forward",
    )
    return [
        *pre_normalized_rows(options),
        Row(f"{there}.gate.weight", f"{here}/router", TRANSPOSED),
        Row(f"{there}.experts.{{e}}.w1.weight", f"{here}/gate", STACKED),
        Row(f"{there}.experts.{{e}}.w3.weight", f"{here}/up", STACKED),
        Row(f"{there}.experts.{{e}}.w2.weight", f"{here}/down", STACKED),
    ]


def llama_fields(
    vocabulary: int,
    longest: int,
    epsilon: float,
    key_value_heads: int | None = None,
    tied: bool = False,
) -> tuple[Field, ...]:
    """Returns the fields that Llama and its kin share.

    Args:
        vocabulary: Default of `vocab_size`.
        longest: Default of `max_position_embeddings`.
        epsilon: Default of `rms_norm_eps`.
        key_value_heads: Default of `num_key_value_heads`.
        tied: Default of `tie_word_embeddings`.
    """
    return (
        Size("vocab_size", "vocabulary_size", vocabulary),
        Size("max_position_embeddings", "max_sequence_length", longest),
        Size("hidden_size", "hidden_dim"),
        Size("intermediate_size", "intermediate_dim"),
        Size("num_hidden_layers", "num_layers"),
        Size("num_attention_heads", "num_heads"),
        OptionalSize(
            "num_key_value_heads", "num_key_value_heads", key_value_heads
        ),
        Number("rms_norm_eps", "epsilon", epsilon),
        Flag("tie_word_embeddings", "tie_embeddings", tied),
        PadId("pad_token_id", "pad_id", None),
        Fixed("is_encoder_decoder", default=False),
        Irrelevant(names=("id2label", "label2id", "is_decoder")),
    )


ACTIVATION = Word("hidden_act", "activation", "silu", ACTIVATIONS)
HEAD_DIM = OptionalSize("head_dim", "head_dim", None)
CONSTANTS: Mapping[str, Any] = {
    "normalization": "rms",
    "gated": True,
    "use_bias": False,
}

LLAMA = Family(
    model_type="llama",
    architectures=("LlamaForCausalLM",),
    build=models.decoder_lm,
    describe=describe_decoder,
    fields=(
        *llama_fields(32000, 2048, 1e-6),
        ACTIVATION,
        HEAD_DIM,
        Biases("attention_bias", "attention_bias", False),
        Flag("mlp_bias", "use_bias", False),
        Rotary(),
    ),
    rows=pre_normalized_rows,
    constants=CONSTANTS,
    prefix="model.",
    tied={"lm_head.weight": "model.embed_tokens.weight"},
    ignored=(
        r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq",
        r"model\.rotary_emb\.inv_freq",
    ),
)
MISTRAL = dataclasses.replace(
    LLAMA,
    model_type="mistral",
    architectures=("MistralForCausalLM",),
    fields=(
        *llama_fields(32000, 131072, 1e-6, 8),
        ACTIVATION,
        HEAD_DIM,
        Windows(default=4096),
        Rotary(),
    ),
)
MIXTRAL = dataclasses.replace(
    LLAMA,
    model_type="mixtral",
    architectures=("MixtralForCausalLM",),
    fields=(
        *llama_fields(32000, 131072, 1e-5, 8),
        ACTIVATION,
        HEAD_DIM,
        Windows(),
        Rotary(theta=1e6),
        Size("num_local_experts", "num_experts", 8),
        Size("num_experts_per_tok", "experts_per_token", 2),
        Irrelevant(names=("router_aux_loss_coef", "router_jitter_noise")),
    ),
    rows=_mixture_rows,
)
_QWEN_WINDOWS = Windows(
    default=4096, switch="use_sliding_window", from_block="max_window_layers"
)
QWEN2 = dataclasses.replace(
    LLAMA,
    model_type="qwen2",
    architectures=("Qwen2ForCausalLM",),
    fields=(
        *llama_fields(151936, 32768, 1e-6, 32),
        ACTIVATION,
        _QWEN_WINDOWS,
        Rotary(),
        Fixed("use_mrope", default=False),
    ),
    constants={**CONSTANTS, "attention_bias": PROJECTIONS[:3]},
)
QWEN3 = dataclasses.replace(
    LLAMA,
    model_type="qwen3",
    architectures=("Qwen3ForCausalLM",),
    fields=(
        *llama_fields(151936, 32768, 1e-6, 32),
        ACTIVATION,
        OptionalSize("head_dim", "head_dim", 128),
        Biases("attention_bias", "attention_bias", False),
        _QWEN_WINDOWS,
        Rotary(),
    ),
    constants={**CONSTANTS, "query_key_normalization": "rms"},
)
