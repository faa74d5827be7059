"""The tf_model.h5 of old TensorFlow releases, under the names of PyTorch's.

Keras 2 wrote weights as `LAYER/MODEL/path/of/the/weight:0`. The rules by which
transformers turned such names into PyTorch's are few, so that one table of
weights serves for both kinds of file.
"""

import itertools
import math
import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_bigmodel.huggingface.tensor_file import DTYPES, TensorPlace

MAX_OBJECTS = 100_000
MAX_DEPTH = 24
LAST = {"kernel": "weight", "embeddings": "weight", "gamma": "weight"}


class Hdf5File:
    """Weights that Keras 2 wrote; tensors are read when asked for.

    HDF5 tells where a tensor's bytes are, and they are mapped into memory as
    those of safetensors: plain, in one piece and inside the file. What HDF5
    can do beyond that is refused: links, storage in other files, filters.

    Args:
        path: The file.

    Raises:
        ValueError: If it is no HDF5, has a link or a tensor that is stored in
            another way, or two tensors have one name or the same bytes.
    """

    def __init__(self, path: Path):
        self.path = path
        self.places: dict[str, TensorPlace] = {}
        self._stored: dict[str, tuple[int, ...]] = {}
        self._transposed: set[str] = set()
        size = path.stat().st_size
        try:
            with h5py.File(path, "r", locking=False) as file:
                for parts, dataset in _datasets(file, path):
                    self._add(parts, _place(dataset, size, path))
        except ValueError:
            raise
        # The library's errors on broken files are of many kinds.
        except Exception as error:
            raise ValueError(
                f"The file is not the HDF5 it should be: {str(error)[:200]}. "
                f"Received: path={str(path)!r}"
            ) from None
        places = sorted(self.places.values(), key=lambda place: place.start)
        for one, following in itertools.pairwise(places):
            if following.start < one.stop:
                raise _wrong(path, "has tensors that overlap", at=one.stop)
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _add(self, parts: list[str], place: TensorPlace) -> None:
        name, transposed = torch_name(parts)
        if name in self.places:
            raise _wrong(self.path, "names a tensor twice", name=name)
        self._stored[name] = shape = place.shape
        if transposed and len(shape) == 2:
            self._transposed.add(name)
            shape = shape[::-1]
        elif name.endswith(".bias") and shape[:-1] == (1,):
            # GPT-2's, which were made to be added to a matrix.
            shape = shape[1:]
        self.places[name] = TensorPlace(
            place.dtype, shape, place.start, place.stop
        )

    def read(self, name: str) -> np.ndarray:
        """Returns a tensor as a view of the mapped file."""
        place = self.places[name]
        flat = np.frombuffer(
            self._map,
            place.dtype,
            count=math.prod(place.shape),
            offset=place.start,
        )
        if name in self._transposed:
            return flat.reshape(self._stored[name]).T
        return flat.reshape(place.shape)

    def release(self, name: str) -> None:
        """Keeps the pages: those of HDF5 may be shared between tensors."""


def torch_name(parts: list[str]) -> tuple[str, bool]:
    """Returns PyTorch's name of a weight, and whether it is transposed there.

    Args:
        parts: Of the path in the file; the first two name a layer of the model
            and the model itself.
    """
    path = "/".join(parts[2:]).removesuffix(":0")
    path = re.sub(r"(^|/)[^/]*___", r"\1", path).replace("_._", "/")
    *scopes, last = [part for part in path.split("/") if part] or [""]
    name = LAST.get(last, "bias" if last == "beta" else last)
    return ".".join([*scopes, name]), last == "kernel"


def _datasets(
    file: h5py.File, path: Path
) -> Iterator[tuple[list[str], h5py.Dataset]]:
    """Each dataset, with the parts of its path; only plain links are taken."""
    waiting: list[tuple[list[str], Any]] = [([], file)]
    count = 0
    while waiting:
        parts, group = waiting.pop()
        for name in group:
            count += 1
            inside = [*parts, name]
            if count > MAX_OBJECTS or len(inside) > MAX_DEPTH:
                raise _wrong(path, "has too many or too deep groups", at=inside)
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise _wrong(path, "has a link that leads away", link=inside)
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append((inside, item))
            elif isinstance(item, h5py.Dataset):
                yield inside, item
            else:
                raise _wrong(path, "has a type for a tensor", at=inside)


def _place(dataset: h5py.Dataset, size: int, path: Path) -> TensorPlace:
    plain = (
        dataset.chunks is None
        and not dataset.is_virtual
        and dataset.external is None
        and dataset.id.get_create_plist().get_nfilters() == 0
    )
    start = dataset.id.get_offset() if plain else None
    dtype = np.dtype(dataset.dtype)
    if not plain or start is None or dtype not in DTYPES.values():
        raise _wrong(
            path,
            "must hold plain numbers in one piece",
            tensor=dataset.name,
            dtype=str(dtype),
        )
    stop = start + math.prod(dataset.shape) * dtype.itemsize
    if stop > size:
        raise _wrong(path, "is shorter than its tensors", tensor=dataset.name)
    return TensorPlace(dtype, tuple(dataset.shape), start, stop)


def _wrong(path: Path, problem: str, **received: Any) -> ValueError:
    listed = ", ".join(f"{k}={v!r:.200}" for k, v in received.items())
    return ValueError(f"{os.path.basename(path)} {problem}. Received: {listed}")
