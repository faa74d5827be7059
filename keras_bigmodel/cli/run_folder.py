"""The folder a training leaves: the model and its tokenizer."""

import os
import pathlib
import shutil
import tempfile

import keras

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


def load_run(folder: str | os.PathLike) -> tuple[keras.Model, Tokenizer]:
    """Read what `save_run` wrote.

    Args:
        folder: where it is.

    Raises:
        ValueError: the folder does not hold a model and a tokenizer.
    """
    folder = pathlib.Path(folder)
    for name in (MODEL_FILE, TOKENIZER_FOLDER):
        if not (folder / name).exists():
            raise ValueError(
                f"There is no {name} in this folder; `train` makes one. "
                f"Received: folder={folder}"
            )
    model = keras.models.load_model(folder / MODEL_FILE)
    return model, Tokenizer.load(folder / TOKENIZER_FOLDER)


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
