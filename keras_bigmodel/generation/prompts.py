"""Reads and checks what a caller gives `generate`."""

import dataclasses
import numbers
import secrets
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_bigmodel.layers.encoder_context import encoder_and_decoder
from keras_bigmodel.layers.positions import LearnedPositionEncoding


@dataclasses.dataclass(frozen=True)
class Prompts:
    """Prompts as rows of ids.

    Args:
        ids: Token ids of each row, at least one: what the answer goes on from.
        is_single: Whether the caller gave one prompt, not a list.
        vocabulary_size: Number of tokens the model scores.
        tokenizer: Turns answers into text, or None.
        sources: What an encoder reads, ids of each row, or None.
        pad_id: The id that fills up sources.
    """

    ids: list[list[int]]
    is_single: bool
    vocabulary_size: int
    tokenizer: Any = None
    sources: list[list[int]] | None = None
    pad_id: int = 0

    def stream(self, pieces: Iterator[list[Any]]) -> Iterator[Any]:
        """Yields pieces in the prompts' form, leaving out empty ones."""
        for piece in pieces:
            if any(piece):
                yield piece[0] if self.is_single else piece

    def padded(self) -> dict[str, np.ndarray]:
        """Returns the rows as arrays, padded behind, and their lengths."""
        arrays = {
            "prompt_ids": pad(self.ids),
            "lengths": np.array([len(row) for row in self.ids], "int32"),
        }
        if self.sources is not None:
            arrays["source_ids"] = pad(self.sources, self.pad_id)
        return arrays


def read(
    prompts: Any,
    tokenizer: Any,
    model: keras.Model,
    start_id: int | None = None,
) -> Prompts:
    """Returns the prompts' ids, checked against the model's vocabulary.

    Raises:
        ValueError: If there is no prompt, a prompt is empty and the tokenizer
            has no start id, there are strings and no tokenizer, an id is not
            in the vocabulary, or an encoder-decoder model's answers have no
            id to begin with.
    """
    pair = tokenizer if isinstance(tokenizer, tuple) else (tokenizer,) * 2
    vocabulary_size = vocabulary_of(model)
    rows, is_single = _rows(prompts, pair[0])
    if not is_encoder_decoder(model):
        _check_vocabulary(rows, vocabulary_size)
        return Prompts(rows, is_single, vocabulary_size, pair[1])
    encoder, _ = encoder_and_decoder(model)
    _check_vocabulary(rows, _source_vocabulary(encoder))
    masked = "context_mask" in encoder.output
    if not masked and len(set(map(len, rows))) > 1:
        raise ValueError(
            "Sources of different lengths need padding, which this model would "
            "read as text: build it with a `pad_id`, or give one prompt at a "
            f"time. Received: lengths={sorted(map(len, rows))}"
        )
    for name in ("start_id", "pad_id"):
        # T5 begins with padding.
        start_id = (
            getattr(pair[1], name, None) if start_id is None else start_id
        )
    if start_id is None:
        raise ValueError(
            "An encoder-decoder model's answers begin with a token: give its "
            "`start_id`, or a tokenizer that has one. Received: start_id=None"
        )
    pad_id = getattr(pair[0], "pad_id", None)
    return Prompts(
        [[start_id]] * len(rows),
        is_single,
        vocabulary_size,
        pair[1],
        sources=rows,
        pad_id=pad_id or 0,
    )


def is_encoder_decoder(model: keras.Model) -> bool:
    """Whether a model reads a source and a target."""
    inputs = getattr(model, "inputs", None) or []
    return {x.name for x in inputs} == {"source_ids", "target_ids"}


def _rows(prompts: Any, tokenizer: Any) -> tuple[list[list[int]], bool]:
    """Returns rows of ids, and whether there was one prompt alone."""
    if isinstance(prompts, np.ndarray):
        prompts = prompts.tolist()
    many = (str, list, tuple, np.ndarray)
    prompts = listed(prompts, "prompts")
    is_single = isinstance(prompts, str) or (
        len(prompts) > 0 and not isinstance(prompts[0], many)
    )
    rows = [prompts] if is_single else list(prompts)
    if not rows:
        raise ValueError(
            "Give at least one prompt. Received: prompts=[] (for an empty "
            'prompt to begin from nothing, give "" with a tokenizer)'
        )
    if any(isinstance(row, str) for row in rows):
        rows = _encode(rows, tokenizer)
    rows = [_checked(row, index, tokenizer) for index, row in enumerate(rows)]
    return rows, is_single


def listed(values: Any, name: str) -> Any:
    """Returns a list, a tuple or a string as it is.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(values, (str, list, tuple)):
        raise ValueError(
            f"`{name}` must be a list. Received: {name}={values!r}"
        )
    return values


def _check_vocabulary(rows: list[list[int]], vocabulary_size: int) -> None:
    largest, smallest = max(map(max, rows)), min(map(min, rows))
    if smallest < 0 or largest >= vocabulary_size:
        wrong = smallest if smallest < 0 else largest
        raise ValueError(
            f"Token ids must be from 0 to {vocabulary_size - 1}; does the "
            f"tokenizer belong to the model? Received: token_id={wrong}"
        )


def _source_vocabulary(encoder: keras.Model) -> int:
    sizes = [
        getattr(layer, "vocabulary_size", None) for layer in encoder.layers
    ]
    return next((size for size in sizes if size is not None), 2**31)


def vocabulary_of(model: keras.Model) -> int:
    """Returns the number of tokens that a model scores."""
    shape = getattr(model, "output_shape", None)
    if shape is None:
        # A subclassed model has no shapes until it is called, and must not
        # make its weights inside a graph.
        shape = model(np.zeros((1, 1), "int32")).shape
    return int(shape[-1])


def context_of(model: keras.Model) -> int | None:
    """Returns the longest sequence that a model is meant for, None for any."""
    limits = [
        getattr(layer, "max_sequence_length", None)
        for layer in model._flatten_layers()
    ]
    return min((limit for limit in limits if limit is not None), default=None)


def check_room(
    rows: Prompts,
    model: keras.Model,
    max_new_tokens: int,
    beyond_context: bool,
) -> None:
    """Says if prompts and their continuations do not fit the context.

    Raises:
        ValueError: If they do not, `max_new_tokens` is not positive, or the
            model has no positions beyond its context.
    """
    check_positive(max_new_tokens)
    context = context_of(model)
    if context is None:
        return
    if beyond_context:
        _check_positions_go_on(model)
        return
    longest = max(map(len, rows.ids))
    if longest + max_new_tokens > context:
        raise ValueError(
            f"A prompt of {longest} tokens and {max_new_tokens} new ones do "
            f"not fit the model's context of {context}. Shorten the prompt, "
            "lower `max_new_tokens`, or, if the positions are relative, set "
            f"`beyond_context=True`. Received: max_new_tokens={max_new_tokens}"
        )
    longest = max(map(len, rows.sources or [[]]))
    if longest > context:
        raise ValueError(
            f"A source of {longest} tokens does not fit the model's context. "
            f"Shorten it. Received: max_sequence_length={context}"
        )


def _check_positions_go_on(model: keras.Model) -> None:
    for layer in model._flatten_layers():
        if isinstance(layer, LearnedPositionEncoding):
            raise ValueError(
                "Learned positions end with the context: only positions that "
                "are computed, such as rotary ones, go on beyond it. "
                f"Received: beyond_context=True, layer={layer.name!r}"
            )


def check_positive(max_new_tokens: int) -> None:
    """Says if `max_new_tokens` is not a positive integer.

    Raises:
        ValueError: If it is not.
    """
    whole = isinstance(max_new_tokens, (int, np.integer))
    if isinstance(max_new_tokens, bool) or not whole or max_new_tokens < 1:
        raise ValueError(
            "`max_new_tokens` must be a positive integer. "
            f"Received: max_new_tokens={max_new_tokens}"
        )


def seeds_of(seed: Any, batch_size: int) -> np.ndarray:
    """Returns a seed for each row, int32.

    Raises:
        ValueError: If a seed is no integer, or there are several seeds and
            not one for each row.
    """
    if seed is None:
        seed = [secrets.randbits(32) for _ in range(batch_size)]
    seeds = [seed] * batch_size if np.ndim(seed) == 0 else list(seed)
    if not all(hasattr(entry, "__index__") for entry in seeds):
        raise ValueError(
            f"`seed` must be whole numbers. Received: seed={seed!r}"
        )
    if len(seeds) != batch_size:
        raise ValueError(
            "`seed` must be one number or one for each prompt. Received: "
            f"len(seed)={len(seeds)}, prompts={batch_size}"
        )
    return np.array([int(entry) % 2**32 for entry in seeds], "uint32").view(
        "int32"
    )


def pad(rows: list[list[int]], pad_id: int = 0) -> np.ndarray:
    """Returns the rows as one array, int32, padded behind."""
    ids = np.full((len(rows), max(map(len, rows))), pad_id, "int32")
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
    return ids


def _encode(rows: list[Any], tokenizer: Any) -> list[list[int]]:
    if tokenizer is None:
        raise ValueError(
            "Prompts that are strings need a tokenizer. "
            f"Received: prompts[0]={rows[0]!r}, tokenizer=None"
        )
    if not all(isinstance(row, str) for row in rows):
        raise ValueError(
            "Prompts must be all strings or all lists of ids. "
            f"Received: {sorted({type(row).__name__ for row in rows})}"
        )
    return tokenizer.encode(rows)


def _checked(row: Any, index: int, tokenizer: Any) -> list[int]:
    start_id = getattr(tokenizer, "start_id", None)
    if len(row) == 0 and start_id is not None:
        return [start_id]
    if len(row) == 0:
        raise ValueError(
            "An empty prompt needs a tokenizer with a `start_id` to begin "
            f"from. Received: prompts[{index}] without tokens"
        )
    if any(
        isinstance(entry, bool)
        or not isinstance(entry, numbers.Real)
        or entry % 1 != 0
        for entry in row
    ):
        raise ValueError(
            f"Token ids must be integers. Received: prompts[{index}]={row}"
        )
    return [int(entry) for entry in row]
