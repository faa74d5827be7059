"""The facts of a config.json: each knows its keys, reads and writes them.

`read` turns entries of config.json into arguments of a builder, `write` turns
arguments into entries. A key that no field of a family knows is an error.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

# No weight of a checkpoint has as many elements along one axis.
LARGEST = 2**40
_REQUIRED = object()


@dataclasses.dataclass(frozen=True)
class Field:
    """One entry of config.json for one argument of a builder.

    Args:
        key: Name of the entry.
        option: Name of the argument; None: the entry must have its default.
        default: What the entry is where it is missing.
    """

    key: str
    option: str | None = None
    default: Any = _REQUIRED

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries that this field knows."""
        return (self.key,)

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns arguments.

        Raises:
            ValueError: If the entry is missing or wrong.
        """
        value = config.get(self.key, self.default)
        if value is _REQUIRED:
            raise ValueError(f"{self.key} is missing")
        return {self.option: self.to_option(value)}

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns entries.

        Raises:
            ValueError: If the family has no entry for the argument.
        """
        return {self.key: self.to_entry(options[self.option])}

    def to_option(self, value: Any) -> Any:
        """Returns the argument for an entry's value."""
        return value

    def to_entry(self, value: Any) -> Any:
        """Returns the entry's value for an argument."""
        return value

    def wrong(self, value: Any, wanted: str) -> ValueError:
        """Returns the error that says what the entry should be."""
        return ValueError(f"{self.key} must be {wanted}, not {value!r:.80}")


class Size(Field):
    """A positive integer."""

    def to_option(self, value: Any) -> int:
        """Returns the integer."""
        if type(value) is not int or not 0 < value < LARGEST:
            raise self.wrong(value, "a positive integer")
        return value


class OptionalSize(Size):
    """A positive integer, or null for the builder's default."""

    def to_option(self, value: Any) -> int | None:
        """Returns the integer, or None."""
        return None if value is None else super().to_option(value)


class Number(Field):
    """A number that is not negative."""

    def to_option(self, value: Any) -> float:
        """Returns the number."""
        if type(value) not in (int, float) or not 0 <= value < LARGEST:
            raise self.wrong(value, "a number, 0 or more")
        return float(value)


class OptionalNumber(Number):
    """A number, or null."""

    def to_option(self, value: Any) -> float | None:
        """Returns the number, or None."""
        return None if value is None else super().to_option(value)


class Flag(Field):
    """True or false."""

    def to_option(self, value: Any) -> bool:
        """Returns the truth."""
        if type(value) is not bool:
            raise self.wrong(value, "true or false")
        return value


class Fixed(Field):
    """An entry which this package supports with one value, its default."""

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns no argument."""
        value = config.get(self.key, self.default)
        if value != self.default or type(value) is not type(self.default):
            raise ValueError(
                f"{self.key} is supported as {self.default!r} alone, not "
                f"{value!r:.80}"
            )
        return {}

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the default."""
        return {self.key: self.default}


@dataclasses.dataclass(frozen=True)
class Word(Field):
    """One of several words, each for a value of an argument.

    Args:
        key: Name of the entry.
        option: Name of the argument.
        default: What the entry is where it is missing.
        words: From words to values; of several words for one value the first
            is written.
    """

    words: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_option(self, value: Any) -> Any:
        """Returns the value of a word."""
        if not isinstance(value, str) or value not in self.words:
            raise self.wrong(value, f"one of {sorted(self.words)}")
        return self.words[value]

    def to_entry(self, value: Any) -> str:
        """Returns the first word for a value."""
        for word, meaning in self.words.items():
            if meaning == value:
                return word
        raise ValueError(
            f"{self.key} has no word for {self.option}={value!r:.80}"
        )


@dataclasses.dataclass(frozen=True)
class Irrelevant(Field):
    """Entries that change nothing of what a loaded model computes.

    Args:
        names: Their names.
    """

    key: str = ""
    names: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The names."""
        return self.names

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns no argument."""
        return {}

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns no entry."""
        return {}


class PadId(Field):
    """The id of padding, where it stands for nothing else.

    Many configurations name the end of a text as padding too; masking it
    would hide ends, so then there is none.
    """

    @property
    def keys(self) -> tuple[str, ...]:
        """The ids of special tokens."""
        return ("pad_token_id", "bos_token_id", "eos_token_id", "unk_token_id")

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `pad_id`."""
        pad_id = config.get("pad_token_id", self.default)
        if pad_id is None or pad_id == -1:
            return {"pad_id": None}
        if type(pad_id) is not int or not 0 <= pad_id < LARGEST:
            raise ValueError(
                f"pad_token_id must be an id or null, not {pad_id!r:.80}"
            )
        others: list[Any] = []
        for key in self.keys[1:]:
            ids = config.get(key)
            others += ids if isinstance(ids, list) else [ids]
        return {"pad_id": None if pad_id in others else pad_id}

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `pad_token_id`."""
        return {"pad_token_id": options["pad_id"]}


ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_python": "gelu",
    "relu": "relu",
    "relu2": "relu_squared",
    "silu": "silu",
    "swish": "silu",
}

# What every config.json may have and no forward pass depends on: notes of
# where it came from, which outputs to return, how to generate and to train.
COMMON = Irrelevant(
    names=tuple(
        """
        architectures model_type torch_dtype dtype transformers_version
        _name_or_path name_or_path _commit_hash auto_map tokenizer_class prefix
        _num_labels is_llama_config output_past
        use_cache return_dict return_dict_in_generate output_scores
        output_hidden_states output_attentions output_router_logits
        torchscript use_bfloat16 tf_legacy_loss problem_type finetuning_task
        task_specific_params initializer_range initializer_factor
        gradient_checkpointing attn_implementation _attn_implementation
        _attn_implementation_autoset _attn_implementation_internal
        sep_token_id decoder_start_token_id forced_bos_token_id
        forced_eos_token_id bad_words_ids suppress_tokens
        begin_suppress_tokens max_length min_length do_sample early_stopping
        num_beams num_beam_groups diversity_penalty temperature top_k top_p
        typical_p repetition_penalty length_penalty no_repeat_ngram_size
        encoder_no_repeat_ngram_size num_return_sequences
        remove_invalid_values exponential_decay_length_penalty
        attention_dropout hidden_dropout resid_pdrop embd_pdrop attn_pdrop
        attention_probs_dropout_prob hidden_dropout_prob classifier_dropout
        dropout dropout_rate activation_dropout pretraining_tp
        cross_attention_hidden_size
        """.split()
    )
)
# What could change the forward pass, and does not with these values.
COMMON_FIXED = (
    Fixed("chunk_size_feed_forward", default=0),
    Fixed("add_cross_attention", default=False),
    Fixed("pruned_heads", default={}),
    Fixed("rope_interleaved", default=False),
)
