"""The folder a training leaves: the model and its tokenizer."""

import os
import pathlib
import shutil
import tempfile

import keras

from keras_bigmodel import huggingface
from keras_bigmodel.generation.prompts import context_of
from keras_bigmodel.text import Tokenizer

MODEL_FILE = "model.keras"
TOKENIZER_FOLDER = "tokenizer"


def save_run(
    folder: str | os.PathLike, model: keras.Model, tokenizer: Tokenizer
) -> pathlib.Path:
    """Write the model and its tokenizer, each beside its place and renamed.

    Args:
        folder: where to; what was there of an earlier training is replaced.
        model: what was trained.
        tokenizer: what it was trained with.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        fresh = pathlib.Path(beside)
        model.save(fresh / MODEL_FILE)
        tokenizer.save(fresh / TOKENIZER_FOLDER)
        shutil.rmtree(folder / TOKENIZER_FOLDER, ignore_errors=True)
        for name in (TOKENIZER_FOLDER, MODEL_FILE):
            os.replace(fresh / name, folder / name)
    return folder


def load_model(source: str | os.PathLike) -> tuple[keras.Model, Tokenizer]:
    """Read what `save_run` wrote, or a Hugging Face checkpoint.

    Args:
        source: the folder, or a repository's name.

    Raises:
        ValueError: there is no such model.
    """
    folder = pathlib.Path(source)
    if not (folder / MODEL_FILE).exists():
        return huggingface.load(source)
    model = keras.models.load_model(folder / MODEL_FILE)
    return model, Tokenizer.load(folder / TOKENIZER_FOLDER)


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
        folder: where something will be written; made if it is missing.

    Raises:
        ValueError: it is a file, or writing is not allowed.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"Nothing can be written there: {error.strerror}. Name a folder "
            f"of your own. Received: folder={folder}"
        ) from error
