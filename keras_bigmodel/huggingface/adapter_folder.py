"""Adapters alone, in the format of the PEFT library."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bigmodel import adapters
from keras_bigmodel.huggingface.checkpoint import MAX_CONFIG_BYTES
from keras_bigmodel.huggingface.json_file import read_json
from keras_bigmodel.huggingface.rows import Row
from keras_bigmodel.huggingface.save import choose_family
from keras_bigmodel.huggingface.tensor_file import (
    SafetensorsFile,
    write_safetensors,
)
from keras_bigmodel.huggingface.transforms import SAME, TRANSPOSED
from keras_bigmodel.huggingface.weights import check_finite, rows_of

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
START = "base_model.model."
# What says nothing about the adapters' values.
IRRELEVANT = {
    "auto_mapping",
    "base_model_name_or_path",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "target_modules",
    "task_type",
}


def save_adapters(
    model: keras.Model, folder: str | Path, family: str | None = None
) -> Path:
    """Writes a model's adapters alone, as PEFT does, and returns the folder.

    Args:
        model: A model with adapters, by `kbm.lora`.
        folder: Where adapter_config.json and adapter_model.safetensors go; it
            is made where missing.
        family: As for `save`.

    Raises:
        ValueError: If the model has no adapters, no family can say it, or an
            adapter sits on one of several projections that the family keeps in
            one tensor.
    """
    rows = _adapted_rows(model, family)
    variables = _variables(model, rows)
    tensors = {
        name: np.ascontiguousarray(keras.ops.convert_to_numpy(variable).T)
        for name, variable in variables.items()
    }
    layer = adapters.adapted_layers(model)[0]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(
        folder / WEIGHTS,
        [(name, value.dtype, value.shape) for name, value in tensors.items()],
        tensors.__getitem__,
    )
    modules = {row.theirs[0].split(".")[-2] for row in rows.values()}
    config = {
        "peft_type": "LORA",
        "r": layer.lora_rank,
        "lora_alpha": layer.lora_alpha,
        "target_modules": sorted(modules),
        "bias": "none",
        "lora_dropout": 0.0,
        "fan_in_fan_out": any(row.transform is SAME for row in rows.values()),
        "base_model_name_or_path": None,
        "inference_mode": True,
        "task_type": None,
    }
    text = json.dumps(config, indent=2, sort_keys=True)
    (folder / CONFIG).write_text(text + "\n")
    return folder


def load_adapters(
    model: keras.Model, folder: str | Path, family: str | None = None
) -> keras.Model:
    """Gives a model the adapters of a folder that PEFT or we have written.

    Args:
        model: A model without adapters, of the kind they were trained on. It
            is changed as by `kbm.lora`.
        folder: Holds adapter_config.json and adapter_model.safetensors.
        family: As for `save`.

    Returns:
        The model.

    Raises:
        ValueError: If a file is wrong, an option is not supported, or adapters
            are missing, left over or misshaped; it names them all.
    """
    folder = Path(folder)
    config = _checked_config(read_json(folder / CONFIG, MAX_CONFIG_BYTES))
    file = SafetensorsFile(folder / WEIGHTS)
    modules = {
        name.removeprefix(START).rpartition(".lora_")[0] for name in file.places
    }
    chosen, _ = choose_family(model, family)
    targets = set()
    for row in rows_of(chosen, chosen.describe(model), model):
        module = row.theirs[0].removesuffix(".weight")
        if module in modules:
            targets.update(path.split("/")[-2] for path in row.ours)
            modules.discard(module)
    if modules or not targets:
        raise ValueError(
            f"These adapters belong to nothing in a {chosen.model_type} model. "
            f"Received: adapters={sorted(modules)[:20]}"
        )
    adapters.lora(model, config["r"], sorted(targets), config["lora_alpha"])
    try:
        rows = _adapted_rows(model, chosen.model_type)
        _fill(_variables(model, rows), file)
    except ValueError:
        adapters.merge_lora(model)
        raise
    return model


def _fill(variables: dict[str, keras.Variable], file: SafetensorsFile) -> None:
    problems = [f"missing: {n}" for n in variables if n not in file.places]
    problems += [f"surplus: {n}" for n in file.places if n not in variables]
    for name in variables.keys() & file.places.keys():
        place, shape = file.places[name], variables[name].shape[::-1]
        if place.shape != tuple(shape):
            problems.append(
                f"misshaped: {name} is {list(place.shape)}, must be "
                f"{list(shape)}"
            )
        elif place.dtype.kind not in "fV":
            problems.append(f"not floating point: {name}")
    if problems:
        raise ValueError(
            f"The adapters are not this model's; {'; '.join(problems[:100])}. "
            f"Received: {len(problems)} tensors that are wrong"
        )
    for name, variable in variables.items():
        value = file.read(name)
        check_finite(name, value)
        variable.assign(value.T.astype("float32"))


def _variables(
    model: keras.Model, rows: dict[str, Row]
) -> dict[str, keras.Variable]:
    """Returns the adapters by PEFT's names."""
    found = {}
    for layer in adapters.adapted_layers(model):
        module = rows[layer._kernel.path].theirs[0].removesuffix(".weight")
        found[f"{START}{module}.lora_A.weight"] = layer.lora_kernel_a
        found[f"{START}{module}.lora_B.weight"] = layer.lora_kernel_b
    return found


def _adapted_rows(model: keras.Model, family: str | None) -> dict[str, Row]:
    """Returns the row of each adapted kernel, by our path."""
    chosen, _ = choose_family(model, family)
    by_path = {
        path: row
        for row in rows_of(chosen, chosen.describe(model), model)
        for path in row.ours
    }
    found = {}
    for layer in adapters.adapted_layers(model):
        path = layer._kernel.path
        row = by_path[path]
        if row.transform not in (SAME, TRANSPOSED):
            raise ValueError(
                f"A {chosen.model_type} checkpoint keeps {list(row.ours)} in "
                "one tensor, which has one adapter in PEFT's format. Choose "
                f"other targets, or merge the adapters. Received: {path}"
            )
        found[path] = row
    return found


def _checked_config(config: dict[str, Any]) -> dict[str, Any]:
    """Returns rank and alpha of a config whose other options are off."""
    wrong = []
    config = dict(config)
    if config.pop("peft_type", None) != "LORA":
        wrong.append("peft_type must be LORA")
    if config.pop("bias", "none") != "none":
        wrong.append("bias must be none")
    found = {key: config.pop(key, 8) for key in ("r", "lora_alpha")}
    if type(found["r"]) is not int or not 0 < found["r"] < 2**16:
        wrong.append("r must be a positive integer")
    if type(found["lora_alpha"]) not in (int, float):
        wrong.append("lora_alpha must be a number")
    wrong += [
        f"{key} is not supported (it is {value!r:.60})"
        for key, value in config.items()
        if key not in IRRELEVANT and value not in (None, False, {}, [])
    ]
    if wrong:
        raise ValueError(
            f"This {CONFIG} is not supported: {'; '.join(wrong)}. Received: "
            f"{len(wrong)} entries that are wrong"
        )
    return found
