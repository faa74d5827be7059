"""Generation: from prompts to their continuations."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_bigmodel.generation import prompts as prompt_rows
from keras_bigmodel.generation import samplers
from keras_bigmodel.generation.compiled import compiled_program
from keras_bigmodel.generation.processors import Penalties
from keras_bigmodel.generation.program import Program, prefill_chunk
from keras_bigmodel.generation.rows import Row, Stops

# Tokens between two looks at the text: few enough to stream smoothly, enough
# to make a call's overhead small.
STREAM_STEPS = 8


@dataclasses.dataclass(frozen=True)
class Generation:
    """One row's continuation and how it came about.

    Args:
        token_ids: The tokens, without the one that stopped the row.
        text: Their text, if there was a tokenizer.
        log_probabilities: Of each token under the model, natural logarithm.
        finish_reason: "stop" (a stop id or string) or "length".
    """

    token_ids: list[int]
    text: str | None
    log_probabilities: list[float]
    finish_reason: str


def generate(
    model: keras.Model,
    prompts: Any,
    tokenizer: Any = None,
    *,
    max_new_tokens: int = 64,
    sampler: Any = "greedy",
    seed: int | Sequence[int] | None = None,
    stop: Any = None,
    stream: bool = False,
    details: bool = False,
    beyond_context: bool = False,
    cache_dtype: str | None = None,
    jit_compile: bool = False,
) -> Any:
    """Continues prompts with a language model.

    Runs any model of ours, and any of your own from our layers, that maps
    token ids to logits: the prompts are read once, then each token costs one
    step against the cached keys, values and states.

    Args:
        model: Maps token ids, (batch, sequence), to logits, (batch, sequence,
            vocabulary_size).
        prompts: A string or a list of strings, with a tokenizer; or a list of
            ids or a list of such lists. Lengths may differ.
        tokenizer: Has `encode`, `decode`, `start_id` and `end_id`. Its
            `end_id` stops a row.
        max_new_tokens: Tokens to generate at most.
        sampler: "greedy", "sample", or one of `kbm.samplers`.
        seed: Makes sampling reproducible: a row's answer depends on its prompt
            and seed, not on its neighbours. One for all rows or one each;
            None: another answer every time.
        stop: A token id or a string, or several, at which a row ends; they
            are not part of the answer.
        stream: Whether to return an iterator that yields each new piece as it
            is made, whole characters only; for several prompts, a list of
            pieces, one a row.
        details: Whether to return `Generation`s, with log-probabilities and
            finish reasons, instead of texts or ids.
        beyond_context: Whether to go on past the model's
            `max_sequence_length`, for relative positions and sliding windows.
        cache_dtype: Float type of cached keys and values; None: as computed.
        jit_compile: Whether TensorFlow compiles by XLA, anew for each shape.

    Returns:
        The continuations without their prompts, in the prompts' form.

    Raises:
        ValueError: If a prompt, an option or their combination is not valid.

    Example:
        >>> model = kbm.models.decoder_lm(100, 32, 2, 2, 16)
        >>> len(kbm.generate(model, [5, 17, 33], max_new_tokens=4))
        4
    """
    sampler = samplers.resolve(sampler)
    rows = prompt_rows.read(prompts, tokenizer, model)
    prompt_rows.check_room(rows.ids, model, max_new_tokens, beyond_context)
    if stream and details:
        raise ValueError(
            "A stream yields pieces, not details. "
            "Received: stream=True, details=True"
        )
    stops = Stops.read(stop, tokenizer)
    program, options = _prepare(
        model,
        sampler,
        rows,
        max_new_tokens,
        seed,
        stops,
        log_probabilities=details,
        cache_dtype=cache_dtype,
        jit_compile=jit_compile,
    )
    outputs = [Row(tokenizer, stops) for _ in rows.ids]
    pieces = _pieces(program, rows.ids, options, outputs, stops, stream)
    if stream:
        return rows.stream(pieces)
    for _ in pieces:
        pass
    if details:
        results = [
            Generation(row.ids, row.text, row.log_probabilities, row.reason)
            for row in outputs
        ]
    else:
        results = [row.ids if row.text is None else row.text for row in outputs]
    return results[0] if rows.is_single else results


def _prepare(
    model: keras.Model,
    sampler: Any,
    rows: Any,
    max_new_tokens: int,
    seed: Any,
    stops: Stops,
    *,
    log_probabilities: bool,
    cache_dtype: str | None,
    jit_compile: bool,
) -> tuple[Any, dict[str, Any]]:
    """Returns the compiled program and the options of its steps."""
    batch = len(rows.ids)
    parameters = sampler.parameters()
    processors = []
    if isinstance(sampler, samplers.Sample) and sampler.has_penalties:
        processors.append(Penalties(rows.vocabulary_size))
        parameters |= sampler.penalties()
    kind = (sampler.kind(), tuple(processors))
    context = prompt_rows.context_of(model)
    long_prompts = max(map(len, rows.ids)) - 1 > prefill_chunk(context)
    program = compiled_program(
        model,
        (*kind, log_probabilities, cache_dtype, long_prompts),
        lambda: Program(
            model,
            sampler,
            processors,
            log_probabilities,
            cache_dtype,
            context=context,
            long_prompts=long_prompts,
        ),
        jit_compile,
    )
    options = {
        "parameters": {
            name: np.full(
                batch, value, "int32" if isinstance(value, int) else "float32"
            )
            for name, value in parameters.items()
        },
        "seeds": prompt_rows.seeds_of(seed, batch),
        "stop_ids": np.array(sorted(stops.ids) or [-1], "int32"),
        "limits": np.full(batch, max_new_tokens, "int32"),
        "num_steps": np.int32(max_new_tokens),
    }
    return program, options


def _pieces(
    program: Any,
    prompt_ids: list[list[int]],
    options: dict[str, Any],
    outputs: list[Row],
    stops: Stops,
    stream: bool,
) -> Iterator[list[Any]]:
    """Fills the rows, and yields what each gained."""
    prompt = prompt_rows.pad(prompt_ids)
    total = int(options["num_steps"])
    width = prompt["prompt_ids"].shape[1]
    # A multiple of 8 saves XLA from compiling for every length.
    capacity = width - 1 + total
    capacity = np.int32(-(-max(capacity, 1) // 8) * 8)
    prompt["capacity"] = capacity
    if not stream and not stops.texts:
        made = program.run(prompt, options)
        yield [row.take(made, index) for index, row in enumerate(outputs)]
        yield [row.end() for row in outputs]
        return
    carry = program.start(prompt)
    options = {
        **options,
        "num_steps": np.int32(min(STREAM_STEPS, total)),
        "capacity": capacity,
    }
    done = 0
    while done < total and not all(row.is_finished for row in outputs):
        options["limits"] = np.array(
            [0 if row.is_finished else total for row in outputs], "int32"
        )
        carry, made = program.advance(carry, options)
        done += int(options["num_steps"])
        yield [row.take(made, index) for index, row in enumerate(outputs)]
    yield [row.end() for row in outputs]
