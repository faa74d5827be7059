"""DistilBERT: BERT without segments and pooler."""

import dataclasses
from typing import Any

from keras_bigmodel.huggingface.families.bert import (
    BERT,
    HEADS,
    Head,
    RequiredPadId,
    encoder_builder,
)
from keras_bigmodel.huggingface.fields import (
    ACTIVATIONS,
    Fixed,
    Irrelevant,
    Size,
    Word,
)
from keras_bigmodel.huggingface.rows import Row, linear, normalization
from keras_bigmodel.huggingface.transforms import TRANSPOSED


def _rows(options: dict[str, Any]) -> list[Row]:
    there = "distilbert.embeddings"
    block, ours = "distilbert.transformer.layer.{i}", "encoder_block_{i}"
    attention, here = f"{block}.attention", f"{ours}/self_attention"
    heads = {
        "masked_lm": [
            *linear("vocab_transform", "head_projection", TRANSPOSED),
            *normalization("vocab_layer_norm", "head_normalization"),
            Row("vocab_projector.bias", "logits/bias"),
        ],
        "text_classifier": [
            *linear("pre_classifier", "head_projection", TRANSPOSED),
            *linear("classifier", "logits", TRANSPOSED),
        ],
        "token_classifier": linear("classifier", "logits", TRANSPOSED),
        "span_classifier": linear("qa_outputs", "logits", TRANSPOSED),
        None: [],
    }
    return [
        Row(f"{there}.word_embeddings.weight", "token_embedding/embeddings"),
        Row(
            f"{there}.position_embeddings.weight",
            "position_encoding/embeddings",
        ),
        *normalization(f"{there}.LayerNorm", "embedding_normalization"),
        *linear(f"{attention}.q_lin", f"{here}/query", TRANSPOSED),
        *linear(f"{attention}.k_lin", f"{here}/key", TRANSPOSED),
        *linear(f"{attention}.v_lin", f"{here}/value", TRANSPOSED),
        *linear(f"{attention}.out_lin", f"{here}/output", TRANSPOSED),
        *normalization(
            f"{block}.sa_layer_norm", f"{ours}/self_attention_normalization"
        ),
        *linear(f"{block}.ffn.lin1", f"{ours}/feed_forward/up", TRANSPOSED),
        *linear(f"{block}.ffn.lin2", f"{ours}/feed_forward/down", TRANSPOSED),
        *normalization(
            f"{block}.output_layer_norm", f"{ours}/feed_forward_normalization"
        ),
        *heads[options["head"]],
    ]


DISTILBERT = dataclasses.replace(
    BERT,
    model_type="distilbert",
    architectures=tuple(f"DistilBert{suffix}" for suffix in HEADS),
    build=encoder_builder("first", "relu", pooled_heads=()),
    fields=(
        Size("vocab_size", "vocabulary_size", 30522),
        Size("max_position_embeddings", "max_sequence_length", 512),
        Size("dim", "hidden_dim", 768),
        Size("hidden_dim", "intermediate_dim", 3072),
        Size("n_layers", "num_layers", 6),
        Size("n_heads", "num_heads", 12),
        Word("activation", "activation", "gelu", ACTIVATIONS),
        RequiredPadId("pad_token_id", "pad_id", 0),
        Head(start="DistilBert"),
        Fixed("tie_word_embeddings", default=True),
        # The checkpoint holds the sines as it holds trained positions.
        Irrelevant(
            names=tuple(
                """
                sinusoidal_pos_embds qa_dropout seq_classif_dropout id2label
                label2id num_labels bos_token_id eos_token_id tie_weights_
                is_decoder is_encoder_decoder output_past
                """.split()
            )
        ),
    ),
    rows=_rows,
    constants={"epsilon": 1e-12},
    prefix="distilbert.",
    tied={
        "vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"
    },
    ignored=(r"distilbert\.embeddings\.position_ids",),
)
