"""From a model to a checkpoint that transformers and others load."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bigmodel import text
from keras_bigmodel.adapters import dense_layers
from keras_bigmodel.huggingface.checkpoint import CONFIG, SINGLE
from keras_bigmodel.huggingface.describe_parts import kind_of
from keras_bigmodel.huggingface.families import FAMILIES
from keras_bigmodel.huggingface.family import Family
from keras_bigmodel.huggingface.labels import label_entries
from keras_bigmodel.huggingface.rows import Row
from keras_bigmodel.huggingface.tensor_file import write_safetensors
from keras_bigmodel.huggingface.weights import (
    BFLOAT16,
    build_empty,
    rows_of,
    weights_by_path,
)


def save(
    model: keras.Model,
    tokenizer: text.Tokenizer | None,
    folder: str | Path,
    family: str | None = None,
    *,
    labels: Sequence[str] | None = None,
) -> Path:
    """Writes a model as a Hugging Face checkpoint and returns the folder.

    The same table as for `load` serves, the other way round. Before anything
    is written, a model is made from the new config.json and compared: what a
    family cannot say is an error, not left out.

    Args:
        model: A model of `kbm.models`, loaded or trained from scratch.
        tokenizer: Its tokenizer, or None.
        folder: Where config.json, model.safetensors and the tokenizer's files
            go; it is made where missing.
        family: The `model_type` to write; default: the one that the model is
            named after, else the first that can say it.
        labels: Names of a classifier's classes; default: LABEL_0, LABEL_1, ....

    Raises:
        ValueError: If no family can say the model, `family` is unknown,
            `labels` are not one a class, the folder is a file, or the model
            has adapters or 8-bit weights.

    Example:
        >>> model = kbm.models.decoder_lm(
        ...     97, 32, num_layers=1, num_heads=2, hidden_dim=32
        ... )
        >>> kbm.huggingface.save(model, None, "my-model").name
        'my-model'
    """
    if any(layer.quantization_mode for layer in dense_layers(model)):
        raise ValueError(
            "Save the model before it was quantised. "
            f"Received: model={model.name!r}"
        )
    if any(layer.lora_enabled for layer in dense_layers(model)):
        raise ValueError(
            "A checkpoint has no adapters: add them to the weights with "
            "`merge_lora`, or save them alone with `save_adapters`. "
            f"Received: model={model.name!r}"
        )
    chosen, config = choose_family(model, family)
    if labels is not None:
        config.update(label_entries(labels, config))
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            "A checkpoint is saved into a folder, and this is a file. "
            f"Received: folder={str(folder)!r}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer is not None:
        tokenizer.save(folder)
        config["bos_token_id"] = tokenizer.start_id
        config["eos_token_id"] = tokenizer.end_id
        if config.get("is_encoder_decoder") and tokenizer.start_id is not None:
            config["decoder_start_token_id"] = tokenizer.start_id
    options = chosen.describe(model)
    write_weights(model, rows_of(chosen, options, model), folder / SINGLE)
    config["torch_dtype"] = str(model.weights[0].dtype)
    for name, content in _by_file(config).items():
        text_of = json.dumps(content, indent=2, sort_keys=True)
        (folder / name).write_text(text_of + "\n")
    return folder


def _by_file(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the entries of each file, under their own names."""
    files: dict[str, dict[str, Any]] = {CONFIG: {}}
    for key, value in config.items():
        name, _, own = key.rpartition(":")
        files.setdefault(name or CONFIG, {})[own] = value
    return files


def choose_family(
    model: keras.Model, name: str | None = None
) -> tuple[Family, dict[str, Any]]:
    """Returns a family that can say the model, and the config.json it says.

    Raises:
        ValueError: If there is none; it says what each lacks.
    """
    if name is not None and name not in FAMILIES:
        raise ValueError(
            f"`family` must be one of {sorted(FAMILIES)}. "
            f"Received: family={name!r}"
        )
    names = [name] if name else sorted(FAMILIES, key=lambda n: n != model.name)
    reasons = []
    for one in names:
        try:
            return FAMILIES[one], config_of(FAMILIES[one], model)
        except ValueError as error:
            reasons.append(f"{one}: {str(error)[:300]}")
    raise ValueError(
        "No family of checkpoints can say this model; "
        f"{'; '.join(reasons)}. Received: model={model.name!r}"
    )


def config_of(family: Family, model: keras.Model) -> dict[str, Any]:
    """Returns the config.json of a model, proved by rebuilding the model.

    Raises:
        ValueError: If the rebuilt model is another.
    """
    described = family.describe(model)
    config = family.config(described)
    options = family.options(config)
    rebuilt = build_empty(lambda: family.build(**options))
    said = family.describe(rebuilt)
    different = [
        f"{option}={_comparable(value)} (the family: "
        f"{_comparable(said.get(option))})"
        for option, value in described.items()
        if _comparable(value) != _comparable(said.get(option))
    ]
    if different:
        raise ValueError(f"it cannot say {', '.join(different)}")
    shapes = [
        {
            path: tuple(weight.shape)
            for path, weight in weights_by_path(one).items()
        }
        for one in (model, rebuilt)
    ]
    if shapes[0] != shapes[1]:
        other = sorted(set(shapes[0].items()) ^ set(shapes[1].items()))
        raise ValueError(f"its weights are others: {other[:10]}")
    return config


def write_weights(model: keras.Model, rows: list[Row], path: Path) -> None:
    """Writes a model's weights under the checkpoint's names."""
    weights = weights_by_path(model)
    owners: dict[str, tuple[Row, int]] = {}
    listed = []
    for row in rows:
        shapes = row.transform.their_shapes(
            [tuple(weights[path].shape) for path in row.ours]
        )
        dtype = str(weights[row.ours[0]].dtype)
        dtype = BFLOAT16 if dtype == "bfloat16" else np.dtype(dtype)
        for place, name in enumerate(row.theirs):
            owners[name] = row, place
            listed.append((name, dtype, shapes[place]))

    def value_of(name: str) -> np.ndarray:
        row, place = owners[name]
        ours = [np.asarray(weights[path].numpy()) for path in row.ours]
        return row.transform.to_theirs(ours)[place]

    write_safetensors(path, listed, value_of)


def _comparable(value: Any) -> Any:
    if isinstance(value, list):
        return [_comparable(one) for one in value]
    return kind_of(value) if isinstance(value, keras.layers.Layer) else value
