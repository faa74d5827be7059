"""BERT, and what its kin have in common with it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_bigmodel import layers, models
from keras_bigmodel.huggingface.describe_encoder import describe_encoder
from keras_bigmodel.huggingface.family import Family
from keras_bigmodel.huggingface.fields import (
    ACTIVATIONS,
    Field,
    Fixed,
    Irrelevant,
    Number,
    Size,
    Word,
)
from keras_bigmodel.huggingface.rows import Row, linear, normalization
from keras_bigmodel.huggingface.transforms import TRANSPOSED

HEADS = {
    "ForMaskedLM": "masked_lm",
    "ForSequenceClassification": "text_classifier",
    "ForTokenClassification": "token_classifier",
    "ForQuestionAnswering": "span_classifier",
    "Model": None,
}
# The activation of a masked language model's head, by its name in Keras.
HEAD_ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "silu": "silu"}


@dataclasses.dataclass(frozen=True)
class Head(Field):
    """The head on the trunk, by the name of the class.

    Args:
        start: What the class names begin with.
    """

    key: str = "architectures"
    start: str = ""

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the head and its number of classes."""
        named = config.get("architectures") or [f"{self.start}Model"]
        if not isinstance(named, list):
            raise self.wrong(named, "a list")
        head = HEADS.get(str(named[0]).removeprefix(self.start), "")
        if head == "":
            raise self.wrong(named, f"{self.start} with one of {list(HEADS)}")
        found = {"head": head, "num_classes": None}
        if head == "span_classifier":
            found["num_classes"] = 2
        elif head in ("text_classifier", "token_classifier"):
            labels = config.get("id2label")
            count = config.get("num_labels", 2)
            count = len(labels) if isinstance(labels, dict) else count
            if type(count) is not int or not 0 < count < 2**31:
                raise ValueError(f"num_labels must be positive, not {count!r}")
            found["num_classes"] = count
        return found

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the class and its labels."""
        suffix = next(k for k, v in HEADS.items() if v == options["head"])
        found: dict[str, Any] = {"architectures": [self.start + suffix]}
        if options["head"] in ("text_classifier", "token_classifier"):
            names = [f"LABEL_{i}" for i in range(options["num_classes"])]
            found["id2label"] = {str(i): name for i, name in enumerate(names)}
            found["label2id"] = {name: i for i, name in enumerate(names)}
        return found


class RequiredPadId(Field):
    """The id of padding, which an encoder's texts need."""

    def to_option(self, value: Any) -> int | None:
        """Returns the id."""
        if value is not None and (type(value) is not int or value < 0):
            raise self.wrong(value, "an id or null")
        return value


def encoder_builder(
    text_pooling: str | None,
    text_activation: str | None = None,
    pooled_heads: tuple = ("text_classifier", None),
) -> Callable[..., keras.Model]:
    """Returns a function that builds a trunk and puts its head on.

    Args:
        text_pooling: As `pooling` of `text_classifier`.
        text_activation: As `projection_activation` of `text_classifier`.
        pooled_heads: The heads whose trunk has a pooler.
    """

    def build(
        head: str | None,
        num_classes: int | None,
        name: str = "encoder",
        head_activation: str | None = None,
        position_offset: int = 0,
        **options: Any,
    ) -> keras.Model:
        activation = options["activation"]
        trunk = models.encoder(
            position_encoding=layers.LearnedPositionEncoding(
                options["max_sequence_length"],
                offset=position_offset,
                dtype=options.get("dtype"),
            ),
            normalize_first=False,
            normalize_embeddings=True,
            pooler=head in pooled_heads,
            name=name,
            **options,
        )
        if head is None:
            return trunk
        if head == "masked_lm":
            word = head_activation or activation
            if word not in HEAD_ACTIVATIONS:
                raise ValueError(
                    "A masked language model's head must have one of the "
                    f"activations {sorted(HEAD_ACTIVATIONS)}. "
                    f"Received: activation={word!r}"
                )
            return models.masked_lm(
                trunk,
                activation=HEAD_ACTIVATIONS[word],
                epsilon=options["epsilon"],
                name=name,
            )
        if head == "text_classifier":
            return models.text_classifier(
                trunk,
                num_classes,
                pooling=text_pooling,
                projection_activation=text_activation,
                name=name,
            )
        if head == "token_classifier":
            return models.token_classifier(trunk, num_classes, name=name)
        return models.span_classifier(trunk, name=name)

    return build


def bert_fields(start: str, *own: Field) -> tuple[Field, ...]:
    """Returns the fields that BERT and its kin share.

    Args:
        start: What the class names begin with.
        *own: Further fields.
    """
    return (
        Size("vocab_size", "vocabulary_size", 30522),
        Size("hidden_size", "hidden_dim", 768),
        Size("intermediate_size", "intermediate_dim", 3072),
        Size("num_hidden_layers", "num_layers", 12),
        Size("num_attention_heads", "num_heads", 12),
        Word("hidden_act", "activation", "gelu", ACTIVATIONS),
        Number("layer_norm_eps", "epsilon", 1e-12),
        Head(start=start),
        Fixed("position_embedding_type", default="absolute"),
        Fixed("is_decoder", default=False),
        Fixed("is_encoder_decoder", default=False),
        Fixed("tie_word_embeddings", default=True),
        Irrelevant(
            names=tuple(
                """
                id2label label2id num_labels bos_token_id eos_token_id
                directionality pooler_fc_size pooler_num_attention_heads
                pooler_num_fc_layers pooler_size_per_head pooler_type
                """.split()
            )
        ),
        *own,
    )


def block_rows(base: str) -> list[Row]:
    """Returns the rows of the blocks, which all kin name alike.

    Args:
        base: Start of the names.
    """
    block, ours = f"{base}.encoder.layer.{{i}}", "encoder_block_{i}"
    there, here = f"{block}.attention", f"{ours}/self_attention"
    return [
        *linear(f"{there}.self.query", f"{here}/query", TRANSPOSED),
        *linear(f"{there}.self.key", f"{here}/key", TRANSPOSED),
        *linear(f"{there}.self.value", f"{here}/value", TRANSPOSED),
        *linear(f"{there}.output.dense", f"{here}/output", TRANSPOSED),
        *normalization(
            f"{there}.output.LayerNorm", f"{ours}/self_attention_normalization"
        ),
        *linear(
            f"{block}.intermediate.dense",
            f"{ours}/feed_forward/up",
            TRANSPOSED,
        ),
        *linear(
            f"{block}.output.dense", f"{ours}/feed_forward/down", TRANSPOSED
        ),
        *normalization(
            f"{block}.output.LayerNorm", f"{ours}/feed_forward_normalization"
        ),
    ]


def _rows(options: dict[str, Any]) -> list[Row]:
    there = "bert.embeddings"
    logits = {
        "text_classifier": "classifier",
        "token_classifier": "classifier",
        "span_classifier": "qa_outputs",
    }.get(options["head"], "classifier")
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
        *block_rows("bert"),
        *linear("bert.pooler.dense", "pooler", TRANSPOSED),
        *linear(
            "cls.predictions.transform.dense", "head_projection", TRANSPOSED
        ),
        *normalization(
            "cls.predictions.transform.LayerNorm", "head_normalization"
        ),
        *(
            [Row("cls.predictions.bias", "logits/bias")]
            if options["head"] == "masked_lm"
            else linear(logits, "logits", TRANSPOSED)
        ),
    ]


BERT = Family(
    model_type="bert",
    architectures=tuple(f"Bert{suffix}" for suffix in HEADS),
    build=encoder_builder(text_pooling="pooler"),
    describe=describe_encoder,
    fields=bert_fields(
        "Bert",
        Size("max_position_embeddings", "max_sequence_length", 512),
        Size("type_vocab_size", "num_segments", 2),
        RequiredPadId("pad_token_id", "pad_id", 0),
    ),
    rows=_rows,
    prefix="bert.",
    tied={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings"
        ".weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    renamed=(
        (r"LayerNorm\.gamma$", "LayerNorm.weight"),
        (r"LayerNorm\.beta$", "LayerNorm.bias"),
    ),
    ignored=(
        r"bert\.embeddings\.position_ids",
        # Checkpoints of the pretraining keep what only its other task used.
        r"cls\.seq_relationship\.(weight|bias)",
        r"bert\.pooler\.dense\.(weight|bias)",
    ),
)
