"""From a released checkpoint to a model and its tokenizer."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_bigmodel import text
from keras_bigmodel.huggingface.checkpoint import Checkpoint
from keras_bigmodel.huggingface.families import FAMILIES
from keras_bigmodel.huggingface.family import Family
from keras_bigmodel.huggingface.weights import build_empty, load_weights

TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "tokenizer.model",
)
# Nothing that could hold code is ever fetched.
FETCHED = ["*.json", "*.safetensors", "*.txt", "*.model"]
# Instead of safetensors, where a release has none.
FETCHED_OLD = [*FETCHED, "tf_model.h5"]
REPOSITORY = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")


def load(
    folder_or_repo: str | Path,
    dtype: Any = None,
    *,
    allow_nonfinite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[keras.Model, text.Tokenizer | None]:
    """Returns the model and the tokenizer of a Hugging Face checkpoint.

    Reads config.json, safetensors (one file, or several with an index; where
    there are none, the tf_model.h5 of old TensorFlow releases) and the
    tokenizer's files, without PyTorch, transformers or pickle. The files are
    data that nobody vouches for: whatever in them is unknown, missing, left
    over or of the wrong shape is an error that names it.

    The model is of `kbm.models`, named after its family, without dropout.
    Tensors are read one at a time, so that beside the weights hardly any
    memory is needed.

    Args:
        folder_or_repo: A local folder, or the name of a repository such as
            "openai-community/gpt2", fetched with `huggingface_hub`.
        dtype: Dtype policy of the model; default: Keras's. The checkpoint's
            own precision does not matter.
        allow_nonfinite: Whether tensors may hold NaN or infinity.
        progress: Called after each row of the family's table of weights, with
            how many are read and how many there are.

    Returns:
        The model, and its tokenizer, or None where the folder has none.

    Raises:
        ValueError: If the checkpoint is not supported or wrong; if there is
            neither such a folder nor a way to fetch it.

    Example:
        >>> model = kbm.models.decoder_lm(
        ...     97, 32, num_layers=1, num_heads=2, hidden_dim=32
        ... )
        >>> folder = kbm.huggingface.save(model, None, "my-model")
        >>> loaded, tokenizer = kbm.huggingface.load(folder)
        >>> loaded.name
        'gpt_neox'
    """
    folder = find_folder(folder_or_repo)
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    options = family.options(checkpoint.entries())
    for side in ("num_layers", "num_decoder_layers"):
        _check_layers(options.get(side) or 0, checkpoint)
    model = build_empty(
        lambda: family.build(**options, dtype=dtype, name=family.model_type)
    )
    load_weights(model, family, options, checkpoint, allow_nonfinite, progress)
    return model, load_tokenizer(checkpoint, model)


def find_folder(folder_or_repo: str | Path) -> Path:
    """Returns a local folder, or fetches a repository.

    Raises:
        ValueError: If neither is possible.
    """
    name = str(folder_or_repo)
    if name and "\0" not in name and Path(name).is_dir():
        return Path(name)
    if not REPOSITORY.fullmatch(name):
        raise ValueError(
            "There is no such folder, and this is no repository's name. "
            f"Received: folder_or_repo={name!r:.200}"
        )
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ValueError(
            "There is no such folder; to fetch a repository, install "
            "keras-bigmodel[hub]. "
            f"Received: folder_or_repo={name!r}"
        )
    import huggingface_hub

    try:
        folder = huggingface_hub.snapshot_download(name, allow_patterns=FETCHED)
        if not any(Path(folder).glob("*.safetensors")):
            folder = huggingface_hub.snapshot_download(
                name, allow_patterns=FETCHED_OLD
            )
        return Path(folder)
    # The hub's errors and those of every network library below it.
    except Exception as error:
        raise ValueError(
            "There is no such folder, and fetching the repository failed: "
            f"{type(error).__name__}: {str(error)[:200]} "
            f"Received: folder_or_repo={name!r}"
        ) from error


def find_family(config: dict[str, Any]) -> Family:
    """Returns the family of a config.json.

    Raises:
        ValueError: If there is none.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise ValueError(
            f"config.json must have a model_type of {sorted(FAMILIES)}. "
            f"Received: model_type={model_type!r:.100}"
        )
    return FAMILIES[model_type]


def load_tokenizer(
    checkpoint: Checkpoint, model: keras.Model
) -> text.Tokenizer | None:
    """Returns the tokenizer in a checkpoint's folder, None if it has none.

    That of an encoder-decoder starts texts as the decoder does.

    Raises:
        ValueError: If it is wrong.
    """
    there = [
        name for name in TOKENIZER_FILES if (checkpoint.folder / name).exists()
    ]
    if not there:
        return None
    for name in there:
        checkpoint.path(name)
    tokenizer = text.Tokenizer.load(checkpoint.folder)
    if "source_ids" in {tensor.name for tensor in model.inputs}:
        tokenizer.start_id = _start_of_answers(checkpoint.config, tokenizer)
    return tokenizer


def _start_of_answers(
    config: dict[str, Any], tokenizer: text.Tokenizer
) -> int | None:
    """Returns the id that a decoder begins with: T5's is that of padding."""
    start_id = config.get("decoder_start_token_id", tokenizer.start_id)
    size = tokenizer.vocabulary_size
    if start_id is not None and (
        type(start_id) is not int or not 0 <= start_id < size
    ):
        raise ValueError(
            f"decoder_start_token_id must be an id below {size}. "
            f"Received: decoder_start_token_id={start_id!r:.80}"
        )
    return start_id


def _check_layers(num_layers: int, checkpoint: Checkpoint) -> None:
    # Before as many layers are built as a file may claim.
    if num_layers > len(checkpoint.places):
        raise ValueError(
            "config.json has more layers than the checkpoint has tensors. "
            f"Received: layers={num_layers}, tensors={len(checkpoint.places)}"
        )
