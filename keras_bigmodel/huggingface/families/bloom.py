"""BLOOM: ALiBi, and normalised embeddings."""

from typing import Any

from keras_bigmodel import models
from keras_bigmodel.huggingface.describe_decoder import describe_decoder
from keras_bigmodel.huggingface.families.gpt_neox import joined_by_head
from keras_bigmodel.huggingface.family import Family
from keras_bigmodel.huggingface.fields import (
    Fixed,
    Flag,
    Irrelevant,
    Number,
    PadId,
    Size,
)
from keras_bigmodel.huggingface.rows import Row, linear, normalization
from keras_bigmodel.huggingface.transforms import TRANSPOSED


class BloomSize(Size):
    """A size with an older name."""

    older = {
        "hidden_size": "n_embed",
        "n_layer": "num_hidden_layers",
        "n_head": "num_attention_heads",
    }

    @property
    def keys(self) -> tuple[str, ...]:
        """Both names."""
        return (self.key, self.older[self.key])

    def read(self, config: Any) -> dict[str, Any]:
        """Returns the size under either name."""
        value = config.get(self.key, config.get(self.older[self.key]))
        if value is None:
            raise ValueError(f"{self.key} is missing")
        return {self.option: self.to_option(value)}


def _rows(options: dict[str, Any]) -> list[Row]:
    block, ours = "transformer.h.{i}", "decoder_block_{i}"
    there, here = f"{block}.self_attention", f"{ours}/self_attention"
    up, down = f"{block}.mlp.dense_h_to_4h", f"{block}.mlp.dense_4h_to_h"
    return [
        Row("transformer.word_embeddings.weight", "token_embedding/embeddings"),
        Row("lm_head.weight", "output_projection/embeddings"),
        *joined_by_head(f"{there}.query_key_value", here, options["num_heads"]),
        *linear(f"{there}.dense", f"{here}/output", TRANSPOSED),
        *linear(up, f"{ours}/feed_forward/up", TRANSPOSED),
        *linear(down, f"{ours}/feed_forward/down", TRANSPOSED),
        *normalization(
            "transformer.word_embeddings_layernorm", "embedding_normalization"
        ),
        *normalization(
            f"{block}.input_layernorm", f"{ours}/self_attention_normalization"
        ),
        *normalization(
            f"{block}.post_attention_layernorm",
            f"{ours}/feed_forward_normalization",
        ),
        *normalization("transformer.ln_f", "final_normalization"),
    ]


BLOOM = Family(
    model_type="bloom",
    architectures=("BloomForCausalLM", "BloomModel"),
    build=models.decoder_lm,
    describe=describe_decoder,
    fields=(
        Size("vocab_size", "vocabulary_size", 250880),
        # ALiBi has no longest sequence; this one says how long it trained.
        Size("seq_length", "max_sequence_length", 2048),
        BloomSize("hidden_size", "hidden_dim"),
        BloomSize("n_layer", "num_layers"),
        BloomSize("n_head", "num_heads"),
        Number("layer_norm_epsilon", "epsilon", 1e-5),
        Flag("tie_word_embeddings", "tie_embeddings", True),
        PadId("pad_token_id", "pad_id", None),
        Fixed("apply_residual_connection_post_layernorm", default=False),
        Fixed("is_encoder_decoder", default=False),
        Irrelevant(
            names=tuple(
                """
                slow_but_exact id2label label2id is_decoder n_inner
                skip_bias_add skip_bias_add_qkv offset_alibi
                attention_softmax_in_fp32 bias_dropout_fusion
                masked_softmax_fusion
                """.split()
            )
        ),
    ),
    rows=_rows,
    constants={
        "position_encoding": "alibi",
        "normalize_embeddings": True,
        "activation": "gelu_tanh",
    },
    prefix="transformer.",
    tied={"lm_head.weight": "transformer.word_embeddings.weight"},
)
