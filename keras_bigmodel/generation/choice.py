"""Which program a model and a sampler need."""

import dataclasses
from collections.abc import Hashable
from typing import Any

import keras
import numpy as np

from keras_bigmodel.generation import prompts, samplers
from keras_bigmodel.generation.beam import BeamProgram
from keras_bigmodel.generation.compiled import compiled_program, kernels_for
from keras_bigmodel.generation.processors import Penalties
from keras_bigmodel.generation.program import Program, prefill_chunk
from keras_bigmodel.generation.speculative import (
    ModelGuesser,
    PromptGuesser,
    SpeculativeProgram,
)
from keras_bigmodel.generation.step_rows import ANY_ROWS
from keras_bigmodel.layers.encoder_context import encoder_and_decoder


@dataclasses.dataclass(frozen=True)
class Options:
    """What a program is made for, beside its model and sampler.

    Args:
        log_probabilities: Whether to return those of the tokens.
        cache_dtype: Float type of cached keys and values.
        long_prompts: Whether prompts are read in several pieces.
        jit_compile: Whether TensorFlow compiles by XLA.
        has_prefix: Whether prompts go on from a prefix.
        pack_weights: Whether steps run on copies of the weights.
        rows: The least and the most rows that a step has.
    """

    log_probabilities: bool = False
    cache_dtype: str | None = None
    long_prompts: bool = False
    jit_compile: bool = False
    has_prefix: bool = False
    pack_weights: bool = False
    rows: tuple[int, float] = ANY_ROWS

    def kernels(self, model: keras.Model) -> Any:
        """Returns how a model's steps compute; None: in Keras's way."""
        return kernels_for(
            model, self.jit_compile, self.pack_weights, self.rows
        )


def needs_long_prompts(model: keras.Model, rows: list[list[int]]) -> bool:
    """Whether the longest prompt is read in several pieces."""
    longest = max(map(len, rows)) - 1
    return longest > prefill_chunk(prompts.context_of(model))


def program_for(
    model: keras.Model,
    sampler: Any,
    vocabulary_size: int,
    processors: tuple,
    options: Options,
) -> tuple[Any, dict[str, float], int]:
    """Returns a compiled program, its parameters, and the slots it spends.

    Args:
        model: The model.
        sampler: One of `kbm.samplers`.
        vocabulary_size: Number of tokens.
        processors: The caller's own.
        options: What else the program depends on.

    Returns:
        The program; what may differ between rows, by name; and how many slots
        its caches need beyond the tokens kept.

    Raises:
        ValueError: If the sampler cannot be used with the model.
    """
    parameters = sampler.parameters()
    if getattr(sampler, "has_penalties", False):
        processors = (Penalties(vocabulary_size), *processors)
        parameters = parameters | sampler.penalties()
    slack = getattr(sampler, "num_guesses", 0)
    if slack:
        check_rewindable(model)
    if isinstance(sampler, samplers.Speculative):
        _check_draft(sampler.draft_model, vocabulary_size)
    key: Hashable = (sampler.kind(), processors, options)

    def make() -> Program:
        arguments: dict[str, Any] = {
            "log_probabilities": options.log_probabilities,
            "cache_dtype": options.cache_dtype,
            "long_prompts": options.long_prompts,
            "context": prompts.context_of(model),
            "kernels": options.kernels(model),
        }
        step = model
        if prompts.is_encoder_decoder(model):
            arguments["encoder"], step = encoder_and_decoder(model)
        if isinstance(sampler, samplers.Beam):
            return BeamProgram(step, sampler=sampler, **arguments)
        if slack:
            guesser = _guesser(sampler, options)
            return SpeculativeProgram(
                step, guesser, sampler=sampler.sampler, **arguments
            )
        return Program(step, sampler, processors, **arguments)

    program = compiled_program(model, key, make, options.jit_compile)
    return program, parameters, slack


def _check_draft(draft: keras.Model, vocabulary_size: int) -> None:
    check_rewindable(draft)
    its_size = prompts.vocabulary_of(draft)
    if its_size != vocabulary_size:
        raise ValueError(
            "A draft model guesses tokens of the model's own vocabulary. "
            f"Received: {vocabulary_size} tokens in the model, {its_size} in "
            "the draft model"
        )


def check_rewindable(model: keras.Model) -> None:
    """Says if a model's caches cannot go back to before a wrong guess.

    Raises:
        ValueError: If it has recurrent layers or sliding windows.
    """
    for layer in model._flatten_layers():
        window = getattr(layer, "sliding_window", None)
        if window is not None or isinstance(layer, keras.layers.RNN):
            raise ValueError(
                "Guessing tokens needs caches that can be wound back, which "
                "recurrent states and sliding windows cannot. "
                f"Received: layer={layer.name!r}"
            )


def _guesser(sampler: Any, options: Options) -> Any:
    if isinstance(sampler, samplers.PromptLookup):
        return PromptGuesser(sampler.num_guesses, sampler.longest_match)
    draft = sampler.draft_model
    # It reads a token at a time, and knows nothing of packed weights.
    options = dataclasses.replace(options, pack_weights=False, rows=ANY_ROWS)
    program = Program(
        draft,
        samplers.Greedy(),
        context=prompts.context_of(draft),
        long_prompts=options.long_prompts,
        kernels=options.kernels(draft),
    )
    return ModelGuesser(program, sampler.num_guesses)


def per_row(parameters: dict[str, float], batch_size: int) -> dict[str, Any]:
    """Returns parameters as one number a row, int32 or float32."""
    return {
        name: np.full(
            batch_size, value, "int32" if isinstance(value, int) else "float32"
        )
        for name, value in parameters.items()
    }
