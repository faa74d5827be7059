"""OLMo 2: branches normalised after, queries and keys across all heads."""

import dataclasses
from typing import Any

import keras

from keras_bigmodel import layers, models
from keras_bigmodel.huggingface.families.llama import (
    ACTIVATION,
    LLAMA,
    Biases,
    decoder_rows,
    llama_fields,
)
from keras_bigmodel.huggingface.rotary_fields import Rotary
from keras_bigmodel.huggingface.rows import Row, normalization
from keras_bigmodel.huggingface.transforms import BY_HEAD


def _build(epsilon: float, **options: Any) -> keras.Model:
    across_heads = layers.RMSNormalization(
        axis=(-2, -1), epsilon=epsilon, dtype=options.get("dtype")
    )
    return models.decoder_lm(
        epsilon=epsilon, query_key_normalization=across_heads, **options
    )


def _rows(options: dict[str, Any]) -> list[Row]:
    block, ours = "model.layers.{i}", "decoder_block_{i}"
    there, here = f"{block}.self_attn", f"{ours}/self_attention"
    across = [
        Row(
            f"{there}.q_norm.weight",
            f"{here}/query_normalization/scale",
            BY_HEAD,
        ),
        Row(
            f"{there}.k_norm.weight", f"{here}/key_normalization/scale", BY_HEAD
        ),
    ]
    own = {name for row in across for name in row.theirs.split()}
    return [
        *(row for row in decoder_rows() if row.theirs not in own),
        *across,
        *normalization(
            f"{block}.post_attention_layernorm",
            f"{ours}/self_attention_branch_normalization",
        ),
        *normalization(
            f"{block}.post_feedforward_layernorm",
            f"{ours}/feed_forward_branch_normalization",
        ),
    ]


OLMO2 = dataclasses.replace(
    LLAMA,
    model_type="olmo2",
    architectures=("Olmo2ForCausalLM",),
    build=_build,
    fields=(
        *llama_fields(50304, 2048, 1e-5),
        ACTIVATION,
        Biases("attention_bias", "attention_bias", False),
        Rotary(),
    ),
    rows=_rows,
    constants={
        **LLAMA.constants,
        "normalize_first": False,
        "normalize_branch": True,
    },
)
