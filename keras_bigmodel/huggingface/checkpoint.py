"""A checkpoint's folder: its config.json and its tensors, not trusted."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_bigmodel.huggingface.family import PREPROCESSOR
from keras_bigmodel.huggingface.hdf5_file import Hdf5File
from keras_bigmodel.huggingface.json_file import read_json
from keras_bigmodel.huggingface.tensor_file import SafetensorsFile, TensorPlace

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
TENSORFLOW = "tf_model.h5"
MAX_CONFIG_BYTES = 4 * 1024 * 1024
MAX_INDEX_BYTES = 32 * 1024 * 1024


class Checkpoint:
    """The files of a released model.

    Args:
        folder: Holds config.json and model.safetensors, or several files and
            their index, or the tf_model.h5 of old TensorFlow releases.

    Raises:
        ValueError: If a file is missing or wrong, leads out of the folder, or
            an index and its files disagree.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.config = read_json(self.path(CONFIG), MAX_CONFIG_BYTES)
        self._files: dict[str, SafetensorsFile | Hdf5File] = {}
        single = (folder / SINGLE).exists()
        if (folder / INDEX).exists() and not single:
            self._open_shards()
        elif (folder / TENSORFLOW).exists() and not single:
            file = Hdf5File(self.path(TENSORFLOW))
            self._files = dict.fromkeys(file.places, file)
        else:
            self._open(SINGLE)

    def path(self, name: Any) -> Path:
        """Returns the path of a file of this folder.

        A link may lead elsewhere within the folder, or into the store that
        Hugging Face's own cache keeps beside its snapshots.

        Raises:
            ValueError: If the name is no plain one, or leads out.
        """
        plain = isinstance(name, str) and name not in ("", ".", "..")
        if not plain or any(sign in name for sign in "/\\\0:"):
            raise ValueError(
                "A checkpoint names its files without folders. "
                f"Received: name={name!r:.100}"
            )
        path = self.folder / name
        try:
            real, root = path.resolve(), self.folder.resolve()
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"The file leads nowhere: {error}. Received: name={name!r:.100}"
            ) from None
        roots = [root]
        if root.parent.name == "snapshots":
            roots.append(root.parent.parent / "blobs")
        if not any(real.is_relative_to(root) for root in roots):
            raise ValueError(
                "A file of a checkpoint must be in its folder. "
                f"Received: name={name!r:.100}, path={str(real)!r}"
            )
        if not real.is_file():
            raise ValueError(
                f"There is no such file in {str(self.folder)!r}; only "
                f"safetensors are read. Received: name={name!r:.100}"
            )
        return real

    def entries(self) -> dict[str, Any]:
        """Returns config.json, and what preprocessor_config.json adds.

        Raises:
            ValueError: If the second file is there and wrong.
        """
        if not (self.folder / PREPROCESSOR).exists():
            return self.config
        other = read_json(self.path(PREPROCESSOR), MAX_CONFIG_BYTES)
        named = {f"{PREPROCESSOR}:{key}": other[key] for key in other}
        return {**self.config, **named}

    def _open(self, name: str) -> SafetensorsFile:
        file = SafetensorsFile(self.path(name))
        for tensor in file.places:
            if tensor in self._files:
                raise ValueError(
                    "Two files hold the same tensor. "
                    f"Received: tensor={tensor!r:.100}"
                )
            self._files[tensor] = file
        return file

    def _open_shards(self) -> None:
        index = read_json(self.path(INDEX), MAX_INDEX_BYTES)
        places = index.get("weight_map")
        if not isinstance(places, dict) or not places:
            raise ValueError(
                f"{INDEX} must have a `weight_map`. Received: {places!r:.100}"
            )
        shards = (
            list(dict.fromkeys(places.values()))
            if all(isinstance(name, str) for name in places.values())
            else [None]
        )
        for shard in shards:
            self._open(shard)
        wrong = sorted(
            name
            for name in places.keys() | self._files.keys()
            if name not in self._files
            or self._files[name].path != self.path(places.get(name))
        )
        if wrong:
            raise ValueError(
                f"{INDEX} and the files disagree about {len(wrong)} tensors. "
                f"Received: tensors={wrong[:20]}"
            )

    @property
    def places(self) -> dict[str, TensorPlace]:
        """Dtype and shape of each tensor."""
        return {name: file.places[name] for name, file in self._files.items()}

    def read(self, name: str) -> np.ndarray:
        """Returns a tensor as a view of its file."""
        return self._files[name].read(name)

    def release(self, name: str) -> None:
        """Lets the system forget what has been read of a tensor."""
        self._files[name].release(name)
