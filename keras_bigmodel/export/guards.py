"""Guards: requests that are refused before anything is computed."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Limits:
    """The sizes of requests that a served model answers.

    Each number is fixed in the exported graph. A request over a limit is
    refused as INVALID_ARGUMENT, with a message that tells the limit, before
    anything is computed.

    Args:
        text_bytes: Bytes of one text.
        word_bytes: Bytes of a text without a blank; a tokenizer's time can
            grow faster than a word's length.
        new_tokens: Tokens of one answer.
        image_pixels: Pixels of one image, height times width.
        batch_tokens: Rows of a batch, times the most tokens a row can hold,
            new ones included: what the caches' memory grows with.

    Raises:
        ValueError: If a limit is not positive.

    Example:
    ```python
    limits = kbm.export.Limits(text_bytes=4096)
    ```
    """

    text_bytes: int = 64 * 1024
    word_bytes: int = 4 * 1024
    new_tokens: int = 4 * 1024
    image_pixels: int = 32 * 1024 * 1024
    batch_tokens: int = 64 * 1024

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"`{field.name}` must be a positive integer. "
                    f"Received: {field.name}={value!r}"
                )


def require(condition: tf.Tensor, *message: Any) -> tf.Operation:
    """Refuses the request, as INVALID_ARGUMENT, unless a condition holds.

    Args:
        condition: A boolean scalar.
        *message: Strings, and scalar tensors whose values are shown.
    """
    parts = [
        part if isinstance(part, str) else tf.strings.as_string(part)
        for part in message
    ]
    return tf.raw_ops.Assert(
        condition=condition, data=[tf.strings.join(parts)], summarize=1
    )


def after(checks: Sequence[tf.Operation], *tensors: tf.Tensor) -> Any:
    """Returns the tensors, computed only when the checks have passed."""
    with tf.control_dependencies(checks):
        held = [tf.identity(tensor) for tensor in tensors]
    return held[0] if len(held) == 1 else held


def check_texts(texts: tf.Tensor, limits: Limits, name: str) -> tf.Tensor:
    """Returns texts, (B,), within the limits.

    Args:
        texts: The texts.
        limits: The limits.
        name: The input's name, for the message.
    """
    texts = tf.ensure_shape(texts, [None])
    some = require(tf.size(texts) > 0, f"`{name}` is empty: give one or more")
    longest = tf.reduce_max(tf.strings.length(after([some], texts)))
    short = require(
        longest <= limits.text_bytes,
        f"A text in `{name}` has ",
        longest,
        f" bytes; this model takes {limits.text_bytes} at most",
    )
    texts = after([short], texts)
    words = tf.strings.split(texts).flat_values
    # A batch of blanks has no words at all.
    lengths = tf.concat([tf.strings.length(words), [0]], axis=0)
    longest_word = tf.reduce_max(lengths)
    short = require(
        longest_word <= limits.word_bytes,
        f"A word in `{name}` has ",
        longest_word,
        f" bytes; this model takes {limits.word_bytes} at most",
    )
    return after([short], texts)


def check_ids(
    token_ids: tf.Tensor,
    lengths: tf.Tensor,
    vocabulary_size: int,
    name: str = "token_ids",
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns rows of ids, (B, T), and their lengths, (B,), if they are valid.

    Args:
        token_ids: int32, the tokens first and any padding behind.
        lengths: int32, the tokens of each row.
        vocabulary_size: Number of the model's tokens.
        name: The input's name, for messages.
    """
    token_ids = tf.ensure_shape(token_ids, [None, None])
    lengths = tf.ensure_shape(lengths, [None])
    shape = tf.shape(token_ids)
    rows = require(
        tf.logical_and(shape[0] > 0, tf.equal(tf.size(lengths), shape[0])),
        f"`lengths` must have one entry for each row of `{name}`, and there "
        "must be rows: there are ",
        tf.size(lengths),
        " and ",
        shape[0],
    )
    token_ids, lengths = after([rows], token_ids, lengths)
    in_row = require(
        tf.reduce_all((lengths > 0) & (lengths <= shape[1])),
        f"Each entry of `lengths` must be from 1 to the width of `{name}`, ",
        shape[1],
    )
    lengths = after([in_row], lengths)
    token_ids = tf.where(
        tf.range(shape[1])[None] < lengths[:, None], token_ids, 0
    )
    known = require(
        tf.reduce_all((token_ids >= 0) & (token_ids < vocabulary_size)),
        f"Ids in `{name}` must be from 0 to {vocabulary_size - 1}",
    )
    return tuple(after([known], token_ids, lengths))
