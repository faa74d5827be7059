"""GPT-NeoX and Pythia: parallel branches, part of each head rotated."""

from typing import Any

from keras_bigmodel import models
from keras_bigmodel.huggingface.describe_decoder import describe_decoder
from keras_bigmodel.huggingface.families.llama import Biases
from keras_bigmodel.huggingface.family import Family
from keras_bigmodel.huggingface.fields import (
    ACTIVATIONS,
    Fixed,
    Flag,
    Irrelevant,
    Number,
    PadId,
    Size,
    Word,
)
from keras_bigmodel.huggingface.rotary_fields import Rotary
from keras_bigmodel.huggingface.rows import Row, linear, normalization
from keras_bigmodel.huggingface.transforms import TRANSPOSED, JoinedByHead


def joined_by_head(theirs: str, ours: str, num_heads: int) -> list[Row]:
    """Returns the rows of one projection to queries, keys and values.

    Args:
        theirs: Its name there.
        ours: The attention's path here.
        num_heads: Number of heads.
    """
    transform = JoinedByHead(num_heads)
    return [
        Row(
            f"{theirs}.{there}",
            tuple(
                f"{ours}/{part}/{here}" for part in ("query", "key", "value")
            ),
            transform,
        )
        for there, here in (("weight", "kernel"), ("bias", "bias"))
    ]


def _rows(options: dict[str, Any]) -> list[Row]:
    block, ours = "gpt_neox.layers.{i}", "decoder_block_{i}"
    there, here = f"{block}.attention", f"{ours}/self_attention"
    up, down = f"{block}.mlp.dense_h_to_4h", f"{block}.mlp.dense_4h_to_h"
    return [
        Row("gpt_neox.embed_in.weight", "token_embedding/embeddings"),
        Row("embed_out.weight", "output_projection/embeddings"),
        *joined_by_head(f"{there}.query_key_value", here, options["num_heads"]),
        *linear(f"{there}.dense", f"{here}/output", TRANSPOSED),
        *linear(up, f"{ours}/feed_forward/up", TRANSPOSED),
        *linear(down, f"{ours}/feed_forward/down", TRANSPOSED),
        *normalization(
            f"{block}.input_layernorm", f"{ours}/self_attention_normalization"
        ),
        *normalization(
            f"{block}.post_attention_layernorm",
            f"{ours}/feed_forward_normalization",
        ),
        *normalization("gpt_neox.final_layer_norm", "final_normalization"),
    ]


GPT_NEOX = Family(
    model_type="gpt_neox",
    architectures=("GPTNeoXForCausalLM",),
    build=models.decoder_lm,
    describe=describe_decoder,
    fields=(
        Size("vocab_size", "vocabulary_size", 50432),
        Size("max_position_embeddings", "max_sequence_length", 2048),
        Size("hidden_size", "hidden_dim"),
        Size("intermediate_size", "intermediate_dim"),
        Size("num_hidden_layers", "num_layers"),
        Size("num_attention_heads", "num_heads"),
        Word("hidden_act", "activation", "gelu", ACTIVATIONS),
        Number("layer_norm_eps", "epsilon", 1e-5),
        Flag("use_parallel_residual", "parallel", True),
        Biases("attention_bias", "attention_bias", True),
        Flag("tie_word_embeddings", "tie_embeddings", False),
        PadId("pad_token_id", "pad_id", None),
        Rotary(
            partial=0.25,
            theta_key="rotary_emb_base",
            partial_key="rotary_pct",
        ),
        Fixed("is_encoder_decoder", default=False),
        Irrelevant(names=("id2label", "label2id", "is_decoder")),
    ),
    rows=_rows,
    prefix="gpt_neox.",
    tied={"embed_out.weight": "gpt_neox.embed_in.weight"},
    ignored=(
        r"gpt_neox\.layers\.\d+\.attention\.(masked_)?bias",
        r"gpt_neox\.layers\.\d+\.attention\.rotary_emb\.inv_freq",
    ),
)
