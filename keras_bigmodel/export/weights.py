"""The numbers that an exported model's weights are kept in."""

from typing import Any

import keras

from keras_bigmodel.export import eight_bit, eight_bit_layers
from keras_bigmodel.generation import tensorflow_packing

WEIGHTS = ("float32", "bfloat16", "int8")
# What answers of two graphs of the same sums may differ by: where numbers are
# rounded to 8 bits, the last bit of a sum can change one.
TOLERANCES = {"float32": 1e-3, "bfloat16": 5e-2, "int8": 2e-2}


def with_weights(model: keras.Model, weights: str) -> keras.Model:
    """Returns a model whose weights are of some kind, to be exported.

    Args:
        model: A functional model. It is not changed.
        weights: "float32": as they are; "bfloat16": a copy that computes in
            bfloat16; "int8": a copy whose Dense layers and token tables
            compute with 8-bit integers.

    Raises:
        ValueError: If the kind is unknown, this build of TensorFlow has no
            products of 8-bit integers, or the model cannot be copied.
    """
    if weights not in WEIGHTS:
        raise ValueError(
            f"`weights` must be one of {WEIGHTS}. Received: weights={weights!r}"
        )
    if weights == "float32":
        return model
    if weights == "bfloat16":
        return _copy(model, "bfloat16")
    if not eight_bit.has_kernel():
        raise ValueError(
            "This build of TensorFlow has no products of 8-bit integers "
            f"({eight_bit.KERNEL}, of oneDNN, which builds for x86-64 Linux "
            "have). Export there, or with other weights. "
            f"Received: weights={weights!r}"
        )
    copy = _copy(model, "float32")
    if not eight_bit_layers.use_eight_bits(copy):
        raise ValueError(
            "The model has no Dense layer and no token table, which 8-bit "
            f"weights are for. Received: weights={weights!r}, "
            f"model={model.name!r}"
        )
    return copy


def check_packing(pack_weights: bool, weights: str, jit_compile: bool) -> None:
    """Checks that a decoding loop can run on packed weights, if it shall.

    Args:
        pack_weights: Whether it shall.
        weights: The kind of the weights.
        jit_compile: Whether XLA compiles the loop.

    Raises:
        ValueError: If it cannot.
    """
    if not pack_weights:
        return
    if weights != "float32" or jit_compile:
        raise ValueError(
            "Weights are packed as float32 and without XLA. Received: "
            f"pack_weights=True, weights={weights!r}, jit_compile={jit_compile}"
        )
    if not tensorflow_packing.is_available():
        raise ValueError(
            "This TensorFlow has no products with packed weights "
            f"({tensorflow_packing.KERNEL}, of oneDNN, in builds for x86-64 "
            "Linux), or has a GPU. Export on such a machine without a GPU. "
            "Received: pack_weights=True"
        )


def _copy(model: keras.Model, dtype: str) -> keras.Model:
    """Returns a copy that computes in some dtype, with the same weights."""

    def remade(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config(_with_dtype(layer.get_config(), dtype))

    copy = keras.models.clone_model(model, clone_function=remade)
    pairs = list(zip(copy.variables, model.variables, strict=False))
    same = len(copy.variables) == len(model.variables)
    if not same or any(new.shape != old.shape for new, old in pairs):
        raise ValueError(
            "The model's layers make other weights from their configuration "
            "than they have, so that it cannot be copied: merge adapters "
            f"first. Received: model={model.name!r}"
        )
    for new, old in pairs:
        new.assign(keras.ops.cast(old, new.dtype))
    return copy


def _with_dtype(config: Any, dtype: str) -> Any:
    """Returns a layer's configuration, and all within it, for a dtype."""
    if isinstance(config, (list, tuple)):
        return type(config)(_with_dtype(entry, dtype) for entry in config)
    if not isinstance(config, dict):
        return config
    return {
        name: dtype
        if name == "dtype" and _is_policy(entry)
        else _with_dtype(entry, dtype)
        for name, entry in config.items()
    }


def _is_policy(value: Any) -> bool:
    return isinstance(value, dict) and "Policy" in value.get("class_name", "")
