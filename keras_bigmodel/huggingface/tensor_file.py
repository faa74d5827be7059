"""Safetensors files: read with every claim checked, written in one go.

A file is 8 bytes of header length, a JSON header that gives each tensor's
dtype, shape and place, and the tensors' bytes, one after the other.
"""

import dataclasses
import json
import math
import mmap
import os
import struct
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from keras_bigmodel.huggingface.json_file import parse_json

MAX_HEADER_BYTES = 16 * 1024 * 1024
MAX_RANK = 8
DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


@dataclasses.dataclass(frozen=True)
class TensorPlace:
    """Where a file keeps a tensor.

    Args:
        dtype: Of the elements.
        shape: Sizes of the axes.
        start: First byte, counted from the file's.
        stop: The byte after the last.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    stop: int


class SafetensorsFile:
    """A safetensors file whose header holds; tensors are read when asked for.

    The file is mapped into memory and must not change while it is open.

    Args:
        path: The file.

    Raises:
        ValueError: If the header is too large, reaches past the file, is no
            JSON or names a key twice; if a tensor's dtype is unknown, or its
            shape and dtype do not make its bytes; if tensors overlap, leave a
            hole or do not end where the file does.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                self.places, self.metadata = _read_header(file, size, path)
                self._map = (
                    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                    if size
                    else None
                )
        except OSError as error:
            raise ValueError(
                f"The file cannot be read: {error.strerror}. "
                f"Received: path={str(path)!r}"
            ) from None

    def read(self, name: str) -> np.ndarray:
        """Returns a tensor as a view of the mapped file."""
        place = self.places[name]
        count = math.prod(place.shape)
        if count == 0:
            return np.zeros(place.shape, place.dtype)
        flat = np.frombuffer(
            self._map, place.dtype, count=count, offset=place.start
        )
        return flat.reshape(place.shape)

    def release(self, name: str) -> None:
        """Lets the system forget the pages of a tensor that has been read."""
        if not hasattr(mmap, "MADV_DONTNEED"):
            return
        place = self.places[name]
        start = -(-place.start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = place.stop - start
        if length > 0:
            self._map.madvise(mmap.MADV_DONTNEED, start, length)


def _read_header(
    file: Any, size: int, path: Path
) -> tuple[dict[str, TensorPlace], dict[str, str]]:
    """Returns the tensors' places and the metadata, both checked."""
    if size < 8:
        raise _wrong(path, "is shorter than its header's length", size=size)
    (length,) = struct.unpack("<Q", file.read(8))
    if length > min(MAX_HEADER_BYTES, size - 8):
        raise _wrong(
            path,
            f"must have a header of at most {MAX_HEADER_BYTES} bytes that ends "
            "within the file",
            header=length,
            size=size,
        )
    header = parse_json(file.read(length), f"The header of {path.name}")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise _wrong(path, "must have texts as metadata", metadata=metadata)
    first = 8 + length
    places = {
        name: _read_place(path, name, entry, first, size)
        for name, entry in header.items()
    }
    _check_cover(path, places, first, size)
    return places, metadata


def _read_place(
    path: Path, name: str, entry: Any, first: int, size: int
) -> TensorPlace:
    if not isinstance(entry, dict) or set(entry) != {
        "dtype",
        "shape",
        "data_offsets",
    }:
        raise _wrong(
            path,
            f"must give {name[:80]!r} a dtype, a shape and data_offsets",
            entry=entry,
        )
    dtype, shape = entry["dtype"], entry["shape"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _wrong(
            path, f"has {name[:80]!r} in a dtype not supported", dtype=dtype
        )
    if not _are_sizes(shape) or len(shape) > MAX_RANK:
        raise _wrong(path, f"has {name[:80]!r} in no shape", shape=shape)
    offsets = entry["data_offsets"]
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _wrong(
            path, f"has no place for {name[:80]!r}", data_offsets=offsets
        )
    start, stop = (first + offset for offset in offsets)
    count = math.prod(shape) * DTYPES[dtype].itemsize
    if not start <= stop <= size or stop - start != count:
        raise _wrong(
            path,
            f"must hold the {count} bytes of {name[:80]!r}, {dtype} of shape "
            f"{shape}, in the {size - first} bytes after the header",
            data_offsets=offsets,
        )
    return TensorPlace(DTYPES[dtype], tuple(shape), start, stop)


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value < 2**48 for value in values
    )


def _check_cover(
    path: Path, places: dict[str, TensorPlace], first: int, size: int
) -> None:
    """Checks that the tensors fill the file, without overlap or hole."""
    end, before = first, None
    for name, place in sorted(
        places.items(), key=lambda item: (item[1].start, item[1].stop)
    ):
        if place.start != end:
            kind = "overlap" if place.start < end else "leave a hole"
            raise _wrong(
                path,
                f"has tensors that {kind}: {before!r:.80} and {name!r:.80}",
                end=end,
                start=place.start,
            )
        end, before = place.stop, name
    if end != size:
        raise _wrong(path, "goes on after the last tensor", end=end, size=size)


def _wrong(path: Path, what: str, **received: Any) -> ValueError:
    values = ", ".join(f"{k}={v!r:.120}" for k, v in received.items())
    return ValueError(f"{path.name} {what}. Received: {values}")


def write_safetensors(
    path: Path,
    tensors: Iterable[tuple[str, np.dtype, tuple[int, ...]]],
    value_of: Callable[[str], np.ndarray],
) -> None:
    """Writes a file, one tensor at a time, beside its place and then renames.

    Args:
        path: The file.
        tensors: Name, dtype and shape of each.
        value_of: Gives the tensor of a name when its turn comes.
    """
    codes = {dtype: code for code, dtype in DTYPES.items()}
    # Libraries read which framework's conventions the tensors follow.
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, dtype, shape in tensors:
        start = end
        end += math.prod(shape) * dtype.itemsize
        header[name] = {
            "dtype": codes[dtype],
            "shape": list(shape),
            "data_offsets": [start, end],
        }
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}"
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(struct.pack("<Q", len(raw)) + raw)
            for name in header:
                if name != "__metadata__":
                    value = np.ascontiguousarray(value_of(name))
                    file.write(value.reshape(-1).view(np.uint8).data)
        # mkstemp gives files to their owner alone.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
