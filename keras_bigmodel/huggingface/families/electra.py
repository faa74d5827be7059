"""ELECTRA: BERT with narrower embeddings and heads of its own."""

import dataclasses
from typing import Any

from keras_bigmodel.huggingface.families.bert import (
    BERT,
    HEADS,
    RequiredPadId,
    bert_fields,
    block_rows,
    encoder_builder,
)
from keras_bigmodel.huggingface.fields import Irrelevant, Size
from keras_bigmodel.huggingface.rows import Row, linear, normalization
from keras_bigmodel.huggingface.transforms import TRANSPOSED


def _rows(options: dict[str, Any]) -> list[Row]:
    there = "electra.embeddings"
    heads = {
        "masked_lm": [
            *linear(
                "generator_predictions.dense", "head_projection", TRANSPOSED
            ),
            *normalization(
                "generator_predictions.LayerNorm", "head_normalization"
            ),
            Row("generator_lm_head.bias", "logits/bias"),
        ],
        "text_classifier": [
            *linear("classifier.dense", "head_projection", TRANSPOSED),
            *linear("classifier.out_proj", "logits", TRANSPOSED),
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
        Row(
            f"{there}.token_type_embeddings.weight",
            "segment_embedding/embeddings",
        ),
        *normalization(f"{there}.LayerNorm", "embedding_normalization"),
        *linear(
            "electra.embeddings_project", "embedding_projection", TRANSPOSED
        ),
        *block_rows("electra"),
        *heads[options["head"]],
    ]


ELECTRA = dataclasses.replace(
    BERT,
    model_type="electra",
    architectures=tuple(f"Electra{suffix}" for suffix in HEADS),
    build=encoder_builder("first", "gelu", pooled_heads=()),
    fields=bert_fields(
        "Electra",
        Size("embedding_size", "embedding_dim", 128),
        Size("max_position_embeddings", "max_sequence_length", 512),
        Size("type_vocab_size", "num_segments", 2),
        RequiredPadId("pad_token_id", "pad_id", 0),
        Irrelevant(
            names=tuple(
                """
                summary_type summary_use_proj summary_activation
                summary_last_dropout
                """.split()
            )
        ),
    ),
    rows=_rows,
    constants={"head_activation": "gelu"},
    prefix="electra.",
    tied={
        "generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"
    },
    ignored=(r"electra\.embeddings\.position_ids",),
)
