"""RoBERTa and XLM-RoBERTa: BERT with positions counted from the padding's."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras_bigmodel.huggingface.families.bert import (
    BERT,
    HEADS,
    bert_fields,
    block_rows,
    encoder_builder,
)
from keras_bigmodel.huggingface.family import Family
from keras_bigmodel.huggingface.fields import Field
from keras_bigmodel.huggingface.rows import Row, linear, normalization
from keras_bigmodel.huggingface.transforms import SUMMED, TRANSPOSED


class OffsetPositions(Field):
    """The table of positions, whose first rows no token uses.

    The first token's position is one more than the id of padding.
    """

    @property
    def keys(self) -> tuple[str, ...]:
        """The table's rows, and the id."""
        return ("max_position_embeddings", "pad_token_id")

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the padding, the offset and the longest sequence."""
        pad_id = config.get("pad_token_id", 1)
        rows = config.get("max_position_embeddings", 512)
        if type(pad_id) is not int or pad_id < 0:
            raise ValueError(f"pad_token_id must be an id, not {pad_id!r:.80}")
        if type(rows) is not int or rows < pad_id + 2:
            raise ValueError(
                f"max_position_embeddings must be above {pad_id + 1}, not "
                f"{rows!r:.80}"
            )
        return {
            "pad_id": pad_id,
            "position_offset": pad_id + 1,
            "max_sequence_length": rows - pad_id - 1,
        }

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns both entries."""
        offset = options["position_offset"]
        if options["pad_id"] != offset - 1:
            raise ValueError(
                f"the family's positions begin at pad_id + 1, not {offset}"
            )
        return {
            "pad_token_id": options["pad_id"],
            "max_position_embeddings": options["max_sequence_length"] + offset,
        }


class Segments(Field):
    """The kinds of segments; a single one is no input of the model."""

    def to_option(self, value: Any) -> int:
        """Returns the number of kinds that an input tells apart."""
        if type(value) is not int or not 0 < value < 2**20:
            raise self.wrong(value, "a positive integer")
        return 0 if value == 1 else value

    def to_entry(self, value: Any) -> int:
        """Returns the number of kinds."""
        return value or 1


def _rows(options: dict[str, Any]) -> list[Row]:
    there = "roberta.embeddings"
    places = f"{there}.position_embeddings.weight"
    kinds = f"{there}.token_type_embeddings.weight"
    tables = [Row((places, kinds), "position_encoding/embeddings", SUMMED)]
    if options["num_segments"]:
        tables = [
            Row(places, "position_encoding/embeddings"),
            Row(kinds, "segment_embedding/embeddings"),
        ]
    heads = {
        "masked_lm": [
            *linear("lm_head.dense", "head_projection", TRANSPOSED),
            *normalization("lm_head.layer_norm", "head_normalization"),
            Row("lm_head.bias", "logits/bias"),
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
        *tables,
        *normalization(f"{there}.LayerNorm", "embedding_normalization"),
        *block_rows("roberta"),
        *linear("roberta.pooler.dense", "pooler", TRANSPOSED),
        *heads[options["head"]],
    ]


def _family(model_type: str, start: str) -> Family:
    return dataclasses.replace(
        BERT,
        model_type=model_type,
        architectures=tuple(f"{start}{suffix}" for suffix in HEADS),
        build=encoder_builder("first", "tanh", pooled_heads=(None,)),
        fields=bert_fields(
            start,
            OffsetPositions("pad_token_id"),
            Segments("type_vocab_size", "num_segments", 2),
        ),
        rows=_rows,
        constants={"head_activation": "gelu"},
        prefix="roberta.",
        tied={
            "lm_head.decoder.weight": "roberta.embeddings.word_embeddings"
            ".weight",
            "lm_head.decoder.bias": "lm_head.bias",
        },
        ignored=(
            r"roberta\.embeddings\.position_ids",
            r"roberta\.pooler\.dense\.(weight|bias)",
        ),
    )


ROBERTA = _family("roberta", "Roberta")
XLM_ROBERTA = _family("xlm-roberta", "XLMRoberta")
