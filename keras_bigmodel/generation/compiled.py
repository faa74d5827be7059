"""Compiles a program for Keras's backend and keeps it with its model."""

import operator
from collections.abc import Hashable
from typing import Any

import keras

from keras_bigmodel.layers import dot_product

_ATTRIBUTE = "_keras_bigmodel_programs"
_VARIABLES = "_keras_bigmodel_program_variables"
_UNSETTLED = "_keras_bigmodel_unsettled_programs"
_BLOCKS = "_keras_bigmodel_blocks"


def compiled_program(
    model: keras.Model,
    key: Hashable,
    make_program: Any,
    jit_compile: bool,
) -> Any:
    """Returns the model's compiled program for a key, made when first used.

    Args:
        model: The model that the program runs.
        key: What tells the program from the model's others.
        make_program: Makes the `Program`.
        jit_compile: Whether TensorFlow compiles by XLA; JAX always does.

    Raises:
        ValueError: If the backend is neither TensorFlow nor JAX.
    """
    # Past Keras's own attribute tracking: programs are no part of the model.
    kept = model.__dict__
    variables, traced = model.variables, kept.get(_VARIABLES, [])
    same = all(map(operator.is_, traced, variables))
    if not same or len(traced) != len(variables):
        # Adapters or 8-bit weights came or went: programs know the old ones.
        kept[_VARIABLES], kept[_ATTRIBUTE] = variables, {}
        kept[_UNSETTLED] = {}
        kept.pop(_BLOCKS, None)
    programs = kept.setdefault(_ATTRIBUTE, {})
    unsettled = kept.setdefault(_UNSETTLED, {})
    key = (key, jit_compile)
    if key not in programs:
        unsettled[key] = _memory_in_use()
        programs[key] = _compile(model, make_program(), jit_compile)
    elif key in unsettled:
        # A first call would wait for it, and a single one gains nothing.
        _settle(variables, unsettled.pop(key))
    return programs[key]


def forget(model: keras.Model) -> None:
    """Drops a model's compiled programs, and the weights that they hold."""
    for name in (_ATTRIBUTE, _UNSETTLED, _BLOCKS):
        model.__dict__.pop(name, None)


def kernels_for(
    model: keras.Model,
    jit_compile: bool,
    pack_weights: bool,
    rows: tuple[int, float],
) -> Any:
    """Returns how a program's steps compute; None: in Keras's way.

    Args:
        model: The model that the program runs.
        jit_compile: Whether TensorFlow compiles by XLA, which like JAX finds
            its own way.
        pack_weights: Whether steps run on copies of the weights.
        rows: The least and the most rows that a step has.
    """
    if dot_product.accelerator() == "gpu":
        from keras_bigmodel.generation.jax_kernels import JaxKernels

        return JaxKernels()
    if keras.config.backend() != "tensorflow" or jit_compile:
        return None
    from keras_bigmodel.generation.tensorflow_blocks import BlockStore
    from keras_bigmodel.generation.tensorflow_kernels import StepKernels
    from keras_bigmodel.generation.tensorflow_parts import (
        num_cores,
        part_bytes,
    )

    blocks = None
    if pack_weights:
        blocks = model.__dict__.setdefault(_BLOCKS, BlockStore(part_bytes()))
    return StepKernels(pack_weights, rows, part_bytes(), num_cores(), blocks)


def _memory_in_use() -> set[int]:
    if keras.config.backend() != "tensorflow":
        return set()
    from keras_bigmodel.generation import tensorflow_pages

    return tensorflow_pages.pages_in_use()


def _settle(variables: list[keras.Variable], before: set[int]) -> None:
    """Has weights, and copies made since, lie where steps read them fastest."""
    if keras.config.backend() == "tensorflow":
        from keras_bigmodel.generation import tensorflow_pages

        values = [variable.value for variable in variables]
        tensorflow_pages.use_huge_pages(values, before)


def _compile(model: keras.Model, program: Any, jit_compile: bool) -> Any:
    backend = keras.config.backend()
    if backend == "tensorflow":
        from keras_bigmodel.generation import tensorflow_program

        return tensorflow_program.TensorFlowProgram(program, jit_compile)
    if backend == "jax":
        from keras_bigmodel.generation import jax_program

        return jax_program.JaxProgram(program, model)
    raise ValueError(
        "Generation runs on Keras's TensorFlow and JAX backends. "
        f"Received: backend={backend!r}"
    )
