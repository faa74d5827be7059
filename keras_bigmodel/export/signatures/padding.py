"""Rows of ids as long as each other, and which id fills them up."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def find_pad_id(
    model: keras.Model,
    call: Callable[[np.ndarray], Any],
    tokenizer: Any,
) -> int | None:
    """Returns an id that changes nothing when it stands behind a row.

    Args:
        model: Its layers may name the id.
        call: From token ids, (1, T), to outputs, (1, ...); where the second
            axis is the sequence, outputs of the first tokens are compared.
        tokenizer: May name the id.

    Returns:
        The id, or None: the model sees every id as a token.
    """
    named = [
        *(getattr(layer, "pad_id", None) for layer in model._flatten_layers()),
        getattr(tokenizer, "pad_id", None),
        0,
    ]
    for pad_id in dict.fromkeys(named):
        if pad_id is None:
            continue
        tokens = [token for token in range(5) if token != pad_id][:3]
        plain = _array(call(np.array([tokens], "int32")))
        padded = _array(call(np.array([[*tokens, pad_id]], "int32")))
        if padded.shape != plain.shape:
            padded = padded[:, : len(tokens)]
        if np.allclose(plain, padded, atol=1e-5):
            return pad_id
    return None


def zero_padded(rows: list[list[int]], width: int) -> np.ndarray:
    """Returns rows of ids as int32, (rows, width), zeros behind each.

    Args:
        rows: The ids.
        width: Of the longest row at least.
    """
    padded = np.zeros((len(rows), width), "int32")
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    return padded


def _array(values: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(values, "float32"))
