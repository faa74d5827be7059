"""Which kind of model it is, and so what it offers when served."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.signatures.arrays import Arrays
from keras_bigmodel.export.signatures.encoder import Encoder
from keras_bigmodel.export.signatures.image_classifier import ImageClassifier
from keras_bigmodel.export.signatures.language_model import LanguageModel
from keras_bigmodel.export.signatures.loop import ANY_HOST, Loop
from keras_bigmodel.export.signatures.sequence_to_sequence import (
    SequenceToSequence,
)
from keras_bigmodel.export.signatures.text_classifier import TextClassifier
from keras_bigmodel.export.signatures.token_classifier import TokenClassifier

TASKS = (
    "language_model",
    "sequence_to_sequence",
    "text_classifier",
    "token_classifier",
    "encoder",
    "image_classifier",
    "arrays",
)
GENERATING = ("language_model", "sequence_to_sequence")


def served_model(
    model: keras.Model,
    tokenizer: Any,
    labels: Sequence[str] | None,
    *,
    task: str | None,
    limits: Limits,
    max_new_tokens: int,
    top_k: int,
    examples: list[str],
    loop: Loop = ANY_HOST,
) -> Any:
    """Returns what offers a model's signatures.

    Args:
        model: A functional model.
        tokenizer: As in `export_saved_model`, and so are the others.
        labels: Names of classes.
        task: One of `TASKS`; None: told from the model.
        limits: Sizes that are answered.
        max_new_tokens: Tokens of an answer at most.
        top_k: Classes of an answer.
        examples: Texts to prove the model with.
        loop: How the decoding loop is compiled.

    Raises:
        ValueError: If the task is unknown, misses its tokenizer, or has no
            decoding loop to be compiled.
    """
    if task is None:
        task = find_task(model, tokenizer, labels)
    if task not in TASKS:
        raise ValueError(
            f"`task` must be one of {TASKS}. Received: task={task!r}"
        )
    if loop != ANY_HOST and task not in GENERATING:
        raise ValueError(
            "`jit_compile`, `pack_weights` and `cores` are for the decoding "
            "loop of models that generate text. Received: jit_compile="
            f"{loop.jit_compile}, pack_weights={loop.pack_weights}, "
            f"cores={loop.cores}, task={task!r}"
        )
    options = limits, max_new_tokens, examples, loop
    if task == "arrays":
        return Arrays(model)
    if task == "image_classifier":
        return ImageClassifier(model, labels, limits, top_k)
    if task == "language_model":
        return LanguageModel(model, tokenizer, *options)
    if tokenizer is None:
        raise ValueError(
            f"To serve texts, a model of the kind {task!r} needs its "
            "tokenizer. Received: tokenizer=None"
        )
    if task == "sequence_to_sequence":
        return SequenceToSequence(model, tokenizer, *options)
    if task == "text_classifier":
        return TextClassifier(model, tokenizer, labels, limits, top_k, examples)
    if task == "token_classifier":
        return TokenClassifier(model, tokenizer, labels, limits, examples)
    return Encoder(model, tokenizer, limits, examples)


def find_task(
    model: keras.Model, tokenizer: Any, labels: Sequence[str] | None
) -> str:
    """Tells a model's kind from its inputs, its output and what comes with it.

    Args:
        model: A functional model.
        tokenizer: Its tokenizer, or None.
        labels: Names of its classes, or None.
    """
    names = {tensor.name for tensor in model.inputs}
    if names == {"source_ids", "target_ids"} and tokenizer is not None:
        return "sequence_to_sequence"
    shape = model.inputs[0].shape
    output = model.output
    if isinstance(output, dict):
        if "hidden_states" in output and tokenizer is not None:
            return "encoder"
        return "arrays"
    if isinstance(output, (list, tuple)):
        return "arrays"
    if len(shape) == 4 and len(output.shape) == 2 and None not in shape[1:]:
        return "image_classifier"
    reads_tokens = names <= {"token_ids", "segment_ids"} or (
        len(names) == 1 and len(shape) == 2 and "int" in model.inputs[0].dtype
    )
    if not reads_tokens:
        return "arrays"
    rank = len(output.shape)
    if rank == 2 and tokenizer is not None:
        return "text_classifier"
    if rank != 3 or tokenizer is None and len(names) != 1:
        return "arrays"
    if output.shape[-1] is None:
        # The scores of a span's start and end, (batch, 2, sequence).
        return "arrays"
    if labels is not None and tokenizer is not None:
        return "token_classifier"
    if len(names) != 1:
        return "arrays" if _gives_tokens(model) else "encoder"
    if _gives_tokens(model):
        return "language_model" if is_causal(model) else "arrays"
    return "arrays" if tokenizer is None else "encoder"


def is_causal(model: keras.Model) -> bool:
    """Tells whether an output depends on no later token, by trying it.

    Args:
        model: From token ids, (batch, sequence), to (batch, sequence, ...).
    """
    first = np.array([[1, 2, 3, 1]], "int32")
    other = np.array([[1, 2, 3, 2]], "int32")
    before = keras.ops.convert_to_numpy(model(first, training=False))[:, :-1]
    after = keras.ops.convert_to_numpy(model(other, training=False))[:, :-1]
    return bool(np.allclose(before, after, atol=1e-5))


def _gives_tokens(model: keras.Model) -> bool:
    """Tells whether the last axis runs over the vocabulary that goes in."""
    sizes = {
        getattr(layer, "vocabulary_size", getattr(layer, "input_dim", None))
        for layer in model._flatten_layers()
    }
    return model.output.shape[-1] in sizes
