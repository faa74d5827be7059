"""Phi-3: Llama with joined projections."""

import dataclasses
from typing import Any

from keras_bigmodel.huggingface.families.llama import (
    ACTIVATION,
    LLAMA,
    llama_fields,
    pre_normalized_rows,
)
from keras_bigmodel.huggingface.fields import Fixed
from keras_bigmodel.huggingface.rotary_fields import Rotary, Windows
from keras_bigmodel.huggingface.rows import Row
from keras_bigmodel.huggingface.transforms import JOINED_TRANSPOSED


def _rows(options: dict[str, Any]) -> list[Row]:
    block, ours = "model.layers.{i}", "decoder_block_{i}"
    apart = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
    return [
        *(
            row
            for row in pre_normalized_rows(options)
            if not any(name in row.theirs for name in apart)
        ),
        Row(
            f"{block}.self_attn.qkv_proj.weight",
            tuple(
                f"{ours}/self_attention/{part}/kernel"
                for part in ("query", "key", "value")
            ),
            JOINED_TRANSPOSED,
        ),
        Row(
            f"{block}.mlp.gate_up_proj.weight",
            tuple(
                f"{ours}/feed_forward/{part}/kernel" for part in ("gate", "up")
            ),
            JOINED_TRANSPOSED,
        ),
    ]


PHI3 = dataclasses.replace(
    LLAMA,
    model_type="phi3",
    architectures=("Phi3ForCausalLM",),
    fields=(
        *llama_fields(32064, 4096, 1e-5),
        ACTIVATION,
        Windows(),
        Rotary(),
        Fixed("attention_bias", default=False),
        Fixed("mlp_bias", default=False),
        Fixed("lm_head_bias", default=False),
        Fixed("full_attn_mod", default=1),
        Fixed("interpolate_factor", default=1),
    ),
    rows=_rows,
)
