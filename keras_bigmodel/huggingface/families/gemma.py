"""Gemma 1, 2 and 3 (text)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras_bigmodel import layers
from keras_bigmodel.huggingface.families.llama import (
    LLAMA,
    Biases,
    decoder_rows,
    llama_fields,
)
from keras_bigmodel.huggingface.fields import (
    ACTIVATIONS,
    Field,
    Fixed,
    Irrelevant,
    Number,
    OptionalNumber,
    Size,
    Word,
)
from keras_bigmodel.huggingface.rotary_fields import Rotary, Windows
from keras_bigmodel.huggingface.rows import Row, normalization
from keras_bigmodel.huggingface.transforms import PLUS_ONE


class QueryScale(Number):
    """Scores are divided by the root of this number."""

    def to_option(self, value: Any) -> float:
        """Returns the factor of the scores."""
        number = super().to_option(value)
        if not number:
            raise self.wrong(value, "a number above 0")
        return number**-0.5

    def to_entry(self, value: Any) -> float:
        """Returns the number whose root divides, whole where it is nearly."""
        number = value**-2
        return round(number) if abs(number - round(number)) < 1e-9 else number


class GemmaActivation(Word):
    """`hidden_activation`, and before it came `hidden_act`.

    The first checkpoints said "gelu" there and meant its tanh form.
    """

    @property
    def keys(self) -> tuple[str, ...]:
        """Both entries."""
        return ("hidden_activation", "hidden_act")

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the activation."""
        value = config.get("hidden_activation")
        if value is None:
            value = config.get("hidden_act", self.default)
            value = self.default if value == "gelu" else value
        return {self.option: self.to_option(value)}

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns both entries."""
        word = self.to_entry(options[self.option])
        if word == "gelu":
            raise ValueError("the family's gelu is the tanh form")
        return dict.fromkeys(self.keys, word)


@dataclasses.dataclass(frozen=True)
class RotaryByKind(Rotary):
    """One rotary encoding for blocks with a window, another for the rest."""

    theta: float = 1e6
    local_theta: float = 10000.0

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries of both generations."""
        return (*super().keys, "rope_local_base_freq")

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns an encoding for each block."""
        entries = config.get("rope_parameters") or {}
        if not isinstance(entries, dict):
            raise self.wrong(entries, "an object or null")
        kinds = {"sliding_attention", "full_attention"}
        if not entries.keys() <= kinds:
            raise ValueError(
                f"rope_parameters must have {sorted(kinds)}, not "
                f"{sorted(entries)}"
            )
        scaling = config.get("rope_scaling") or {}
        everywhere = entries.get("full_attention") or scaling
        local = entries.get("sliding_attention") or {
            "rope_theta": config.get("rope_local_base_freq", self.local_theta)
        }
        for one in (everywhere, local):
            if not isinstance(one, dict):
                raise self.wrong(one, "an object or null")
        windows = WINDOWS.read(config)["sliding_window"]
        return {
            "position_encoding": [
                self.encoding(config, everywhere if window is None else local)
                for window in windows
            ]
        }

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the entries of the older generation, which both read."""
        encodings = options["position_encoding"]
        if not isinstance(encodings, list):
            encodings = [encodings] * options["num_layers"]
        found: dict[str, Any] = {}
        for encoding, window in zip(
            encodings, options["sliding_window"], strict=True
        ):
            if not isinstance(encoding, layers.RotaryPositionEncoding):
                raise ValueError("the family's positions are rotary")
            if window is None:
                found.update(self.entries(encoding, options))
            elif encoding.scaling:
                raise ValueError(
                    "the family scales no positions in blocks with a window"
                )
            else:
                found["rope_local_base_freq"] = encoding.base
        return found


def _rows(options: dict[str, Any]) -> list[Row]:
    block, ours = "model.layers.{i}", "decoder_block_{i}"
    return [
        *decoder_rows(PLUS_ONE),
        *normalization(
            f"{block}.input_layernorm",
            f"{ours}/self_attention_normalization",
            PLUS_ONE,
        ),
        *normalization(
            f"{block}.post_attention_layernorm",
            f"{ours}/feed_forward_normalization",
            PLUS_ONE,
        ),
    ]


def _sandwich_rows(options: dict[str, Any]) -> list[Row]:
    block, ours = "model.layers.{i}", "decoder_block_{i}"
    places = {
        "input_layernorm": "self_attention_normalization",
        "post_attention_layernorm": "self_attention_branch_normalization",
        "pre_feedforward_layernorm": "feed_forward_normalization",
        "post_feedforward_layernorm": "feed_forward_branch_normalization",
    }
    return [
        *decoder_rows(PLUS_ONE),
        *(
            row
            for theirs, here in places.items()
            for row in normalization(
                f"{block}.{theirs}", f"{ours}/{here}", PLUS_ONE
            )
        ),
    ]


WINDOWS = Windows(
    default=4096,
    pattern=6,
    pattern_keys=("sliding_window_pattern", "_sliding_window_pattern"),
)


def _fields(key_value_heads: int, longest: int, *own: Field) -> tuple:
    return (
        *llama_fields(256000, longest, 1e-6, key_value_heads, tied=True),
        GemmaActivation(
            "hidden_act", "activation", "gelu_pytorch_tanh", ACTIVATIONS
        ),
        Size("head_dim", "head_dim", 256),
        Biases("attention_bias", "attention_bias", False),
        Irrelevant(names=("cache_implementation",)),
        *own,
    )


_SANDWICH = (
    QueryScale("query_pre_attn_scalar", "attention_scale", 256),
    OptionalNumber("attn_logit_softcapping", "attention_soft_cap", 50.0),
    OptionalNumber("final_logit_softcapping", "logit_soft_cap", 30.0),
)
_CONSTANTS = {**LLAMA.constants, "scale_embeddings": True}

GEMMA = dataclasses.replace(
    LLAMA,
    model_type="gemma",
    architectures=("GemmaForCausalLM",),
    fields=_fields(
        16,
        8192,
        Rotary(),
        Fixed("use_bidirectional_attention", default=None),
    ),
    rows=_rows,
    constants=_CONSTANTS,
)
GEMMA2 = dataclasses.replace(
    GEMMA,
    model_type="gemma2",
    architectures=("Gemma2ForCausalLM",),
    fields=_fields(
        4,
        8192,
        Rotary(),
        Windows(default=4096, pattern=2),
        Fixed("use_bidirectional_attention", default=None),
        *_SANDWICH,
    ),
    rows=_sandwich_rows,
    constants={**_CONSTANTS, "normalize_branch": True},
)
GEMMA3 = dataclasses.replace(
    GEMMA2,
    model_type="gemma3_text",
    architectures=("Gemma3ForCausalLM",),
    fields=_fields(
        4,
        131072,
        RotaryByKind(),
        WINDOWS,
        Fixed("use_bidirectional_attention", default=False),
        _SANDWICH[0],
        OptionalNumber("attn_logit_softcapping", "attention_soft_cap", None),
        OptionalNumber("final_logit_softcapping", "logit_soft_cap", None),
    ),
    constants={
        **_CONSTANTS,
        "normalize_branch": True,
        "query_key_normalization": "rms",
    },
)
