"""A family of checkpoints: one row of the table."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_bigmodel.huggingface.fields import COMMON, COMMON_FIXED, Field
from keras_bigmodel.huggingface.rows import Row

Options = dict[str, Any]
# A second file of image models. Its entries are known by names that begin so.
PREPROCESSOR = "preprocessor_config.json"


@dataclasses.dataclass(frozen=True)
class Family:
    """How the checkpoints of one `model_type` are read and written.

    Args:
        model_type: As config.json says it.
        architectures: The class names it may say, the one to write first.
        build: From arguments to a model, with `dtype` and `name`.
        describe: From a model back to the arguments; raises ValueError for a
            model of another kind.
        fields: The entries of config.json.
        rows: From arguments to the table of weights.
        constants: Arguments that config.json does not vary.
        prefix: Start of the names which a checkpoint without a head lacks.
        tied: Tensors that may be there twice, and their original.
        copied: Tensors that may be missing, and what stands for them.
        ignored: Patterns of tensors that are no weights, such as masks, or
            that a pretraining leaves behind.
        renamed: Patterns of names in old releases, and what to put in place.
    """

    model_type: str
    architectures: tuple[str, ...]
    build: Callable[..., keras.Model]
    describe: Callable[[keras.Model], Options]
    fields: tuple[Field, ...]
    rows: Callable[[Options], list[Row]]
    constants: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    prefix: str = ""
    tied: Mapping[str, str] = dataclasses.field(default_factory=dict)
    copied: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()

    @property
    def all_fields(self) -> tuple[Field, ...]:
        """The family's fields, and those which every config.json may have."""
        return (*self.fields, COMMON, *COMMON_FIXED)

    def options(self, config: Mapping[str, Any]) -> Options:
        """Returns the builder's arguments for a config.json.

        Raises:
            ValueError: If entries are unknown, missing, wrong or not
                supported; it names them all.
        """
        options: Options = dict(self.constants)
        known: set[str] = set()
        problems = []
        named = config.get("architectures") or [self.architectures[0]]
        if not isinstance(named, list) or not all(
            name in self.architectures for name in named
        ):
            problems.append(
                f"architectures must be of {list(self.architectures)}, not "
                f"{named!r:.100}"
            )
        for field in self.all_fields:
            known.update(field.keys)
            try:
                options.update(field.read(config))
            except ValueError as error:
                problems.append(str(error))
        problems += [
            f"{key} is not known (it is {config[key]!r:.60})"
            for key in sorted(set(config) - known)
        ]
        if problems:
            raise ValueError(
                f"This config.json of model_type {self.model_type!r} is not "
                f"supported: {'; '.join(problems)}. Received: "
                f"{len(problems)} entries that are wrong"
            )
        return options

    def config(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the config.json for a builder's arguments.

        Raises:
            ValueError: If the family cannot say them.
        """
        config: dict[str, Any] = {
            "model_type": self.model_type,
            "architectures": [self.architectures[0]],
        }
        for field in self.fields:
            config.update(field.write(options))
        return config
