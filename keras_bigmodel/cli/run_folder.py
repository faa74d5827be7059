"""The folder a training leaves: the model and its tokenizer."""

import argparse
import json
import os
import pathlib
import shutil
import tempfile
import zipfile

import keras

from keras_bigmodel import huggingface
from keras_bigmodel.cli import console
from keras_bigmodel.generation.prompts import context_of
from keras_bigmodel.text import Tokenizer

MODEL_FILE = "model.keras"
TOKENIZER_FOLDER = "tokenizer"
LABELS_FILE = "labels.json"


def add_source_option(
    parser: argparse.ArgumentParser,
    what: str = "what `train` made, or a Hugging Face folder or repository",
) -> None:
    """Declare `--from`, whose value `load_model` and `load_labels` read."""
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        help=what,
    )


def save_run(
    folder: str | os.PathLike,
    model: keras.Model,
    tokenizer: Tokenizer | None,
    labels: list[str] | None = None,
) -> pathlib.Path:
    """Write the model and its tokenizer, each beside its place and renamed.

    Args:
        folder: where to; what was there of an earlier training is replaced.
        model: what was trained.
        tokenizer: what it was trained with, or None.
        labels: names of its classes, or None.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        fresh = pathlib.Path(beside)
        model.save(fresh / MODEL_FILE)
        if tokenizer is not None:
            tokenizer.save(fresh / TOKENIZER_FOLDER)
        if labels is not None:
            (fresh / LABELS_FILE).write_text(json.dumps(labels))
        shutil.rmtree(folder / TOKENIZER_FOLDER, ignore_errors=True)
        (folder / LABELS_FILE).unlink(missing_ok=True)
        for file in sorted(fresh.iterdir(), key=lambda f: f.name == MODEL_FILE):
            os.replace(file, folder / file.name)
    return folder


def load_model(
    source: str | os.PathLike, dtype: str | None = None
) -> tuple[keras.Model, Tokenizer | None]:
    """Read what `save_run` wrote, or a Hugging Face checkpoint.

    Args:
        source: the folder, or a repository's name.
        dtype: a checkpoint's dtype policy; default: Keras's.

    Raises:
        ValueError: there is no such model, its file was cut off, or it has
            its dtype already.
    """
    folder = pathlib.Path(source)
    if not (folder / MODEL_FILE).exists():
        return huggingface.load(
            source, dtype, progress=console.progress("Loading tensors")
        )
    if dtype is not None:
        raise ValueError(
            "A trained model keeps the dtype it was trained in. "
            f"Received: dtype={dtype}"
        )
    if not zipfile.is_zipfile(folder / MODEL_FILE):
        # Keras would say that there is no such file.
        raise ValueError(
            "The model's file was cut off, or is none. "
            f"Received: path={folder / MODEL_FILE}"
        )
    model = keras.models.load_model(folder / MODEL_FILE)
    if not (folder / TOKENIZER_FOLDER).exists():
        return model, None
    return model, Tokenizer.load(folder / TOKENIZER_FOLDER)


def load_labels(source: str | os.PathLike) -> list[str] | None:
    """Read the names of a classifier's classes, where there are any.

    Args:
        source: the folder, or a repository's name.
    """
    folder = pathlib.Path(source)
    if not (folder / MODEL_FILE).exists():
        return huggingface.load_labels(source)
    file = folder / LABELS_FILE
    return json.loads(file.read_text()) if file.exists() else None


def max_sequence_length(model: keras.Model) -> int:
    """How many tokens a model reads at once.

    Args:
        model: a language model of ours.

    Raises:
        ValueError: the model sets itself no limit.
    """
    longest = context_of(model)
    if longest is None:
        raise ValueError(
            "The model sets no max_sequence_length, and there is none to "
            f"choose windows by. Received: model={model.name!r}"
        )
    return longest


def check_writable(folder: str | os.PathLike) -> None:
    """Refuse, before any work is done, a folder that cannot be written.

    Args:
        folder: where something will be written. It is not made, so that
            what fails later leaves nothing.

    Raises:
        ValueError: it is a file, or writing is not allowed.
    """
    folder = pathlib.Path(folder)
    around = folder.absolute()
    while not os.path.lexists(around):
        around = around.parent
    try:
        with tempfile.TemporaryFile(dir=around):
            pass
    except OSError as error:
        raise ValueError(
            f"Nothing can be written there: {error.strerror}. Name a folder "
            f"of your own. Received: folder={folder}"
        ) from error
