"""GPT-2."""

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
from keras_bigmodel.huggingface.rows import Row, linear, normalization
from keras_bigmodel.huggingface.transforms import JOINED, SAME


class ScaledScores(Field):
    """Whether scores are divided by the root of the head's size."""

    def to_option(self, value: Any) -> float | None:
        """Returns the factor; None is the usual one."""
        if type(value) is not bool:
            raise self.wrong(value, "true or false")
        return None if value else 1.0

    def to_entry(self, value: Any) -> bool:
        """Returns whether the factor is the usual one."""
        return value != 1.0


def _rows(options: dict[str, Any]) -> list[Row]:
    block, ours = "transformer.h.{i}", "decoder_block_{i}"
    parts = [f"{ours}/self_attention/{n}" for n in ("query", "key", "value")]
    return [
        Row("transformer.wte.weight", "token_embedding/embeddings"),
        Row("transformer.wpe.weight", "position_encoding/embeddings"),
        Row("lm_head.weight", "output_projection/embeddings"),
        Row(
            f"{block}.attn.c_attn.weight",
            tuple(f"{part}/kernel" for part in parts),
            JOINED,
        ),
        Row(
            f"{block}.attn.c_attn.bias",
            tuple(f"{part}/bias" for part in parts),
            JOINED,
        ),
        # GPT-2 keeps kernels as (inputs, outputs).
        *linear(f"{block}.attn.c_proj", f"{ours}/self_attention/output", SAME),
        *linear(f"{block}.mlp.c_fc", f"{ours}/feed_forward/up", SAME),
        *linear(f"{block}.mlp.c_proj", f"{ours}/feed_forward/down", SAME),
        *normalization(f"{block}.ln_1", f"{ours}/self_attention_normalization"),
        *normalization(f"{block}.ln_2", f"{ours}/feed_forward_normalization"),
        *normalization("transformer.ln_f", "final_normalization"),
    ]


GPT2 = Family(
    model_type="gpt2",
    architectures=("GPT2LMHeadModel", "GPT2Model"),
    build=models.decoder_lm,
    describe=describe_decoder,
    fields=(
        Size("vocab_size", "vocabulary_size", 50257),
        Size("n_positions", "max_sequence_length", 1024),
        Size("n_embd", "hidden_dim", 768),
        Size("n_layer", "num_layers", 12),
        Size("n_head", "num_heads", 12),
        OptionalSize("n_inner", "intermediate_dim", None),
        Word("activation_function", "activation", "gelu_new", ACTIVATIONS),
        Number("layer_norm_epsilon", "epsilon", 1e-5),
        ScaledScores("scale_attn_weights", "attention_scale", True),
        Flag("tie_word_embeddings", "tie_embeddings", True),
        PadId("pad_token_id", "pad_id", None),
        Fixed("scale_attn_by_inverse_layer_idx", default=False),
        Fixed("is_encoder_decoder", default=False),
        # Its order of operations changes rounding alone.
        Irrelevant(
            names=tuple(
                """
                reorder_and_upcast_attn n_ctx id2label label2id is_decoder
                n_special predict_special_tokens
                summary_type summary_use_proj summary_activation
                summary_proj_to_labels summary_first_dropout
                """.split()
            )
        ),
    ),
    rows=_rows,
    constants={"position_encoding": "learned"},
    prefix="transformer.",
    tied={"lm_head.weight": "transformer.wte.weight"},
    ignored=(r"transformer\.h\.\d+\.attn\.(masked_)?bias",),
)
