"""Generation: from prompts to their continuations."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_bigmodel.generation import choice, packing, samplers
from keras_bigmodel.generation import prompts as prompt_rows
from keras_bigmodel.generation.prefix import Prefix
from keras_bigmodel.generation.rows import Row, Stops
from keras_bigmodel.generation.step_rows import rows_alike

# Tokens between two looks at the text: few enough to stream smoothly, enough
# to make a call's overhead small.
STREAM_STEPS = 8


@dataclasses.dataclass(frozen=True)
class Generation:
    """One row's continuation and how it came about.

    Args:
        token_ids: The tokens, without the one that stopped the row.
        text: Their text, if there was a tokenizer.
        log_probabilities: Of each token under the model, natural logarithm;
            empty after a beam search.
        finish_reason: "stop" (a stop id or string) or "length".
        score: By which a beam search ordered the answers, otherwise None.
    """

    token_ids: list[int]
    text: str | None
    log_probabilities: list[float]
    finish_reason: str
    score: float | None = None


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
    processors: Sequence[Any] = (),
    prefix: Prefix | None = None,
    start_id: int | None = None,
    beyond_context: bool = False,
    cache_dtype: str | None = None,
    jit_compile: bool = False,
    pack_weights: bool | None = None,
) -> Any:
    """Continues prompts with a language model.

    Runs any model of ours, and any of your own from our layers, that maps
    token ids to logits: the prompts are read once, then each token costs one
    step against the cached keys, values and states. For an encoder-decoder
    model the prompts are the source: the encoder reads them once.

    Args:
        model: Maps token ids, (batch, sequence), to logits, (batch, sequence,
            vocabulary_size); or `source_ids` and `target_ids` to those.
        prompts: A string or a list of strings, with a tokenizer; or a list of
            ids or a list of such lists. Lengths may differ.
        tokenizer: Has `encode`, `decode`, `start_id` and `end_id`. Its
            `end_id` stops a row. A pair of tokenizers is the source's and the
            target's.
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
        processors: Change the logits before the sampler sees them, in order:
            `BannedTokens`, `BannedPhrases`, `ForcedPrefix`,
            `RegexConstraint` of `kbm.generation`.
        prefix: A `kbm.generation.Prefix` that all prompts go on from.
        start_id: With which an encoder-decoder model's answers begin; default:
            the tokenizer's.
        beyond_context: Whether to go on past the model's
            `max_sequence_length`, for relative positions and sliding windows.
        cache_dtype: Float type of cached keys and values; None: as computed.
        jit_compile: Whether TensorFlow compiles by XLA, anew for each shape.
        pack_weights: Whether TensorFlow on an x86-64 CPU keeps copies of the
            weights: one laid out for a core to read, and from 4 rows on
            another, packed so that up to 64 cost little more than one; None:
            up to 64 rows, for models of 64 MiB up to an eighth of the
            machine's memory, until their weights change between calls.

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
    processors = prompt_rows.listed(processors, "processors")
    rows = prompt_rows.read(prompts, tokenizer, model, start_id)
    readers = [model]
    if isinstance(sampler, samplers.Speculative):
        readers.append(sampler.draft_model)
    if prefix is None:
        for reader in readers:
            prompt_rows.check_room(rows, reader, max_new_tokens, beyond_context)
    else:
        _check_prefix(prefix, model, rows, max_new_tokens, cache_dtype)
    stops = Stops.read(stop, rows.tokenizer, rows.vocabulary_size)
    _check_combination(
        sampler, stops, processors, stream=stream, details=details
    )
    batch = len(rows.ids)
    rows_of_step = batch * getattr(sampler, "num_beams", 1)
    rows_of_step *= 1 + getattr(sampler, "num_guesses", 0)
    packs = packing.decide(
        model, pack_weights, jit_compile, rows_of_step, max_new_tokens
    )
    program, parameters, slack = choice.program_for(
        model,
        sampler,
        rows.vocabulary_size,
        tuple(processors),
        choice.Options(
            log_probabilities=details,
            cache_dtype=cache_dtype,
            long_prompts=choice.needs_long_prompts(model, rows.ids),
            jit_compile=jit_compile,
            has_prefix=prefix is not None,
            pack_weights=packs,
            rows=rows_alike(rows_of_step),
        ),
    )
    options = {
        "parameters": choice.per_row(parameters, batch),
        "seeds": prompt_rows.seeds_of(seed, batch),
        "stop_ids": np.array(sorted(stops.ids) or [-1], "int32"),
        "limits": np.full(batch, max_new_tokens, "int32"),
        "num_steps": np.int32(max_new_tokens),
    }
    answers = getattr(sampler, "num_answers", 1)
    outputs = [Row(rows.tokenizer, stops) for _ in range(batch * answers)]
    prompt = _prompt(rows, max_new_tokens + slack, prefix)
    pieces = _pieces(program, prompt, options, outputs, stops, stream)
    if stream:
        return rows.stream(pieces)
    for _ in pieces:
        pass
    results = [_result(row, details) for row in outputs]
    if answers > 1:
        results = [
            results[first : first + answers]
            for first in range(0, len(results), answers)
        ]
    return results[0] if rows.is_single else results


def _result(row: Row, details: bool) -> Any:
    if details:
        return Generation(
            row.ids, row.text, row.log_probabilities, row.reason, row.score
        )
    return row.ids if row.text is None else row.text


def _check_combination(
    sampler: Any,
    stops: Stops,
    processors: Sequence[Any],
    *,
    stream: bool,
    details: bool,
) -> None:
    if stream and details:
        raise ValueError(
            "A stream yields pieces, not details. "
            "Received: stream=True, details=True"
        )
    wrong = [x for x in processors if not hasattr(x, "process")]
    if wrong:
        raise ValueError(
            "`processors` are of `kbm.generation`, such as `BannedTokens`. "
            f"Received: processors={wrong}"
        )
    picks_one = isinstance(sampler, (samplers.Greedy, samplers.Sample))
    if processors and not picks_one:
        raise ValueError(
            "Processors go with `Greedy` and `Sample`, which pick one token at "
            f"a time. Received: sampler={sampler}, processors={processors}"
        )
    if isinstance(sampler, samplers.Beam) and (stream or stops.texts):
        raise ValueError(
            "A beam search knows its answers only at its end: it cannot "
            "stream, and stops at token ids. Received: "
            f"stream={stream}, stop={list(stops.texts)}"
        )


def _prompt(
    rows: prompt_rows.Prompts, num_steps: int, prefix: Prefix | None
) -> dict[str, Any]:
    """Returns the prompts as a program takes them."""
    prompt = rows.padded()
    if prefix is not None:
        capacity = np.int32(prefix.capacity)
        return {**prompt, "capacity": capacity, "state": prefix.state}
    capacity = prompt["prompt_ids"].shape[1] - 1 + num_steps
    # A multiple of 8 saves XLA from compiling for every length.
    return {**prompt, "capacity": np.int32(-(-max(capacity, 1) // 8) * 8)}


def _check_prefix(
    prefix: Prefix,
    model: keras.Model,
    rows: prompt_rows.Prompts,
    max_new_tokens: int,
    cache_dtype: str | None,
) -> None:
    if not isinstance(prefix, Prefix):
        raise ValueError(
            "`prefix` must be a `kbm.generation.Prefix`. "
            f"Received: prefix={prefix!r}"
        )
    if prefix.model is not model or prefix.cache_dtype != cache_dtype:
        raise ValueError(
            "A prefix goes with the model and the `cache_dtype` it was made "
            f"for. Received: model={model.name!r}, cache_dtype={cache_dtype}"
        )
    prompt_rows.check_positive(max_new_tokens)
    longest = max(map(len, rows.ids))
    if longest + max_new_tokens > prefix.room:
        raise ValueError(
            f"A prompt of {longest} tokens and {max_new_tokens} new ones do "
            "not fit the prefix's room. Make it with a larger `room`. "
            f"Received: room={prefix.room}"
        )


def _pieces(
    program: Any,
    prompt: dict[str, Any],
    options: dict[str, Any],
    outputs: list[Row],
    stops: Stops,
    stream: bool,
) -> Iterator[list[Any]]:
    """Fills the rows, and yields what each gained."""
    total = int(options["num_steps"])
    if not stream and not stops.texts:
        made = program.run(prompt, options)
        yield [row.take(part) for row, part in _shares(outputs, made)]
        yield [row.end() for row in outputs]
        return
    carry = program.start(prompt)
    options, done, steps = dict(options), 0, 1
    while done < total and not all(row.is_finished for row in outputs):
        options["limits"] = np.array(
            [0 if row.is_finished else total for row in outputs], "int32"
        )
        # The first token is not kept waiting for others.
        options["num_steps"] = np.int32(min(steps, total))
        carry, made = program.advance(carry, options)
        done, steps = done + steps, STREAM_STEPS
        yield [row.take(part) for row, part in _shares(outputs, made)]
    yield [row.end() for row in outputs]


def _shares(
    outputs: list[Row], made: dict[str, np.ndarray]
) -> Iterator[tuple[Row, dict[str, Any]]]:
    """Yields each row with what was made for it."""
    if made["counts"].ndim == 2:
        # A beam search made several answers a prompt, the best ones first.
        answers = len(outputs) // len(made["counts"])
        made = {
            name: value[:, :answers].reshape(-1, *value.shape[2:])
            for name, value in made.items()
        }
    for index, row in enumerate(outputs):
        yield row, {name: value[index] for name, value in made.items()}
