"""Exports a model as a folder that TensorFlow Serving serves."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_bigmodel.export.folders import new_version
from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.model_card import model_card
from keras_bigmodel.export.proof import prove as prove_folder
from keras_bigmodel.export.short_graph import shorten
from keras_bigmodel.export.signatures.kinds import served_model
from keras_bigmodel.export.signatures.loop import Loop
from keras_bigmodel.export.warmup import warmup_requests, write_warmup
from keras_bigmodel.export.weights import (
    TOLERANCES,
    check_packing,
    with_weights,
)
from keras_bigmodel.layers.recurrent import portable_recurrence

_EXAMPLES = ("The", "A list of", "你好")


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike,
    tokenizer: Any = None,
    labels: Sequence[str] | None = None,
    *,
    task: str | None = None,
    max_new_tokens: int = 64,
    top_k: int = 5,
    limits: Limits | None = None,
    examples: Sequence[str] = _EXAMPLES,
    warmup_batch_sizes: Sequence[int] = (1,),
    weights: str = "float32",
    jit_compile: bool = False,
    pack_weights: bool = False,
    cores: int | None = None,
    training_data: str | None = None,
    licence: str | None = None,
    prove: bool = True,
) -> pathlib.Path:
    """Writes a model as the next version of a folder that TF Serving serves.

    The SavedModel holds the weights, the tokenizer and the decoding loop, in
    TensorFlow's core ops alone: no Keras is needed to run it. It is written
    beside its place, proved, and renamed once. What it offers depends on the
    kind of the model:

    | kind | inputs of `serving_default` | more signatures |
    |---|---|---|
    | language model | `prompts` | `generate`, `generate_ids`, `score`, |
    | | | `prefill`, `decode` |
    | the same without a tokenizer | `token_ids`, `lengths` | `generate_ids` |
    | encoder-decoder | `source_texts` | as a language model; `score` takes |
    | | | `source_texts`, `target_texts` |
    | text classifier, tagger | `texts` | |
    | encoder | `texts` | `embed` |
    | image classifier | `image_bytes`, JPEG or PNG | `predict` |
    | any other | the model's own | |

    Args:
        model: A functional model of ours, or of your own from our layers.
        path: The model's folder, such as `saved_models/NAME`; versions are
            `saved_models/NAME/1`, `saved_models/NAME/2`, ....
        tokenizer: One of `kbm.text`; for an encoder-decoder one, or a pair for
            source and target.
        labels: Names of a classifier's classes; default: their numbers.
        task: "language_model", "sequence_to_sequence", "text_classifier",
            "token_classifier", "encoder", "image_classifier" or "arrays";
            default: told from the model, its tokenizer and labels.
        max_new_tokens: Tokens of an answer of `serving_default` at most.
        top_k: Classes that a classifier's answer holds.
        limits: Sizes that are answered; default: `kbm.export.Limits()`.
        examples: Texts to prove the written model with, and to warm a server
            up with.
        warmup_batch_sizes: Sizes of batches that a server warms up with.
        weights: "float32", as they are; "bfloat16": half the folder, and the
            model computes in bfloat16; "int8": Dense layers and token tables
            have 8-bit weights, a scale for each output, and read activations
            rounded to 8 bits, a scale for each row, a quarter of the folder.
            "int8" runs on x86-64 Linux alone, and is exact on CPUs with VNNI.
        jit_compile: Whether XLA compiles the decoding loop, anew for each
            size of a batch, its prompts and its answers: for hosts with
            accelerators, whose server has XLA built in. The graph says so,
            and no flag of the server is needed.
        pack_weights: Whether each step of the decoding loop runs on a copy of
            the weights, laid out when it first runs so that up to 64 rows cost
            little more than one: for servers on x86-64 Linux alone, with twice
            the memory for each signature that generates.
        cores: Of the hosts that will serve, if known: parts of products then
            stand in so many lines, and no more cores share a step. None: any
            number.
        training_data: What the model was trained on, for its card.
        licence: Of the model, for its card.
        prove: Whether to load the written folder in a fresh process, without
            Keras, run every signature, compare with the model in memory, and
            print the result, which stays in `assets.extra/proof.md`.

    Returns:
        The version's folder.

    Beside the proof lies a card of the model, `assets.extra/model_card.md`.

    Raises:
        ValueError: If the model is of no kind that can be served, an option
            does not fit it, 8-bit weights cannot be computed with here, or the
            path cannot be written.
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
    check_packing(pack_weights, weights, jit_compile)
    exported = with_weights(model, weights)
    served = served_model(
        exported,
        tokenizer,
        labels,
        task=task,
        limits=limits or Limits(),
        max_new_tokens=max_new_tokens,
        top_k=top_k,
        examples=list(examples),
        loop=Loop(jit_compile, pack_weights, cores),
    )
    name = pathlib.Path(path).resolve().name
    with new_version(path) as version:
        with portable_recurrence():
            signatures = served.signatures()
            write(signatures, version.folder)
            if weights != "bfloat16":
                # Where it rounds depends on what TensorFlow fuses, and this on
                # names: sampled tokens could differ from those in memory.
                shorten(version.folder)
            requests = warmup_requests(signatures, warmup_batch_sizes)
        write_warmup(version.folder, name, requests)
        table = None
        if prove:
            tolerance = TOLERANCES[weights]
            proof = prove_folder(
                version.folder, signatures, requests, tolerance
            )
            table = proof.table()
            _keep(version.folder, "proof.md", table)
            print(table)
        card = model_card(
            name,
            model,
            version.folder,
            weights,
            training_data,
            licence,
            table,
            pack_weights,
        )
        _keep(version.folder, "model_card.md", card)
    return version.folder


def write(signatures: dict[str, Any], folder: pathlib.Path) -> None:
    """Writes a SavedModel of some signatures, and the weights they read.

    Args:
        signatures: `Signature`s by name.
        folder: Where to write.
    """
    root = tf.Module()
    traced = {name: entry.trace() for name, entry in signatures.items()}
    # What was read to cut blocks of it is not read by the graph.
    captured = {
        id(value)
        for function in traced.values()
        for value in function.captured_inputs
    }
    read = {
        id(variable): variable
        for function in traced.values()
        for variable in function.variables
        if id(variable.handle) in captured
    }
    root.weights = list(read.values())
    # Gradients would name nodes of other functions, and nobody asks for them.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(root, str(folder), traced, options)


def _keep(folder: pathlib.Path, name: str, text: str) -> None:
    path = folder / "assets.extra" / name
    path.write_text(f"{text}\n", encoding="utf-8")
