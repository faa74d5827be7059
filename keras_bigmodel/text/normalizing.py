"""Normalize text inside a TensorFlow graph, as tokenizers' steps do."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_bigmodel.text.composing import compose
from keras_bigmodel.text.tokenizer_json import components, unsupported

if TYPE_CHECKING:
    import tensorflow as tf

Step = Callable[["tf.Tensor"], "tf.Tensor"]


def normalizer_steps(normalizer: Any) -> list[Step]:
    """Return the graph's form of a normalizer's steps.

    NFC, Prepend and Replace of a string are known.

    Args:
        normalizer: the `normalizer` of a tokenizer.json.

    Raises:
        ValueError: a step is not supported.
    """
    steps: list[Step] = []
    for step in components(normalizer, "normalizer", "normalizers"):
        pattern = replaced_string(step)
        if step["type"] == "NFC":
            steps.append(compose)
        elif step["type"] == "Prepend" and isinstance(step["prepend"], str):
            steps.append(functools.partial(_prepend, prefix=step["prepend"]))
        elif pattern:
            steps.append(
                functools.partial(
                    replace, pattern=pattern, content=step["content"]
                )
            )
        else:
            raise unsupported("normalizer", step)
    return steps


def replaced_string(step: dict[str, Any]) -> str | None:
    """Return the string that a Replace step replaces, None for others."""
    pattern = step.get("pattern")
    if step["type"] != "Replace" or not isinstance(pattern, dict):
        return None
    if not isinstance(step.get("content"), str):
        return None
    string = pattern.get("String")
    return string if isinstance(string, str) else None


def replace(texts: tf.Tensor, pattern: str, content: str) -> tf.Tensor:
    """Return the texts with one string in place of another."""
    import tensorflow as tf

    escaped = "".join(f"\\x{{{ord(character):x}}}" for character in pattern)
    return tf.strings.regex_replace(
        texts, escaped, content.replace("\\", "\\\\")
    )


def _prepend(texts: tf.Tensor, prefix: str) -> tf.Tensor:
    import tensorflow as tf

    return tf.where(texts == "", texts, tf.strings.join([prefix, texts]))
