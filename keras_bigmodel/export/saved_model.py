"""Exports a model as a folder that TensorFlow Serving serves."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_bigmodel.export.folders import new_version
from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.proof import prove as prove_folder
from keras_bigmodel.export.signatures.language_model import LanguageModel
from keras_bigmodel.layers.recurrent import portable_recurrence

_EXAMPLES = ("The", "A list of", "你好")


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike,
    tokenizer: Any = None,
    labels: Sequence[str] | None = None,
    *,
    max_new_tokens: int = 64,
    limits: Limits | None = None,
    examples: Sequence[str] = _EXAMPLES,
    prove: bool = True,
) -> pathlib.Path:
    """Writes a model as the next version of a folder that TF Serving serves.

    The SavedModel holds the weights, the tokenizer and the decoding loop, in
    TensorFlow's core ops alone: no Keras is needed to run it. It is written
    beside its place, proved, and renamed once.

    Args:
        model: A language model, from token ids, (batch, sequence), to logits.
        path: The model's folder, such as `saved_models/NAME`; versions are
            `saved_models/NAME/1`, `saved_models/NAME/2`, ....
        tokenizer: One of `kbm.text`.
        labels: Names of a classifier's classes.
        max_new_tokens: Tokens of an answer at most.
        limits: Sizes that are answered; default: `kbm.export.Limits()`.
        examples: Prompts to prove the written model with.
        prove: Whether to load the written folder in a fresh process, without
            Keras, run every signature, and compare with the model in memory.

    Returns:
        The version's folder.

    Raises:
        ValueError: If the model is of no kind that can be served, an option
            does not fit it, or the path cannot be written.
        RuntimeError: If the written folder does not answer as the model in
            memory does.

    Example:
    ```python
    model = kbm.models.decoder_lm(259, 32, 2, 2, 16)
    tokenizer = kbm.text.ByteTokenizer()
    folder = kbm.export_saved_model(
        model, "saved_models/tiny", tokenizer, max_new_tokens=8
    )
    served = tf.saved_model.load(folder).signatures["serving_default"]
    served(prompts=tf.constant(["Once upon"]))["num_tokens"]
    ```
    """
    kind = LanguageModel(
        model, tokenizer, limits or Limits(), max_new_tokens, list(examples)
    )
    signatures = kind.signatures()
    with new_version(path) as version:
        write(model, signatures, version.folder)
        if prove:
            print(prove_folder(version.folder, signatures))
    return version.folder


def write(
    model: keras.Model, signatures: dict[str, Any], folder: pathlib.Path
) -> None:
    """Writes a SavedModel of some signatures.

    Args:
        model: Has the variables that the signatures read.
        signatures: `Signature`s by name.
        folder: Where to write.
    """
    root = tf.Module()
    root.weights = [variable.value for variable in model.variables]
    with portable_recurrence():
        traced = {name: entry.trace() for name, entry in signatures.items()}
    tf.saved_model.save(root, str(folder), signatures=traced)
