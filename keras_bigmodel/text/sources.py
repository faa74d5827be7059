"""Texts and records read lazily: from memory, from files and from folders."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from keras_bigmodel.text.readers import READERS, file_type, not_utf8

SUFFIXES = tuple(READERS)

Record = tuple[Any, ...]


class Source:
    """Records of named fields, looked up once and read as often as asked.

    A `.txt` file is one record of the one field; it is read in pieces
    of 256 KiB, so that memory stays flat whatever its size. A `.jsonl`
    file holds one record a line and a `.parquet` file one a row. Each may be
    packed once more as `.gz`. A folder stands for all files below it, in the
    order of their names; hidden files are left out.

    Args:
        source: What to read: a `pathlib.Path` of a file or folder, or an
            iterable whose items are such paths, or are the records
            themselves: a string for one field, a tuple or a dict for several.
            A plain `str` is one text, never the name of a file.
        fields: The fields to read, each with the types it accepts.

    Raises:
        ValueError: where a file is missing, of unknown type, damaged or not
            UTF-8, or where a record lacks a field.
    """

    def __init__(self, source: Any, fields: Mapping[str, Any]):
        self.fields = dict(fields)
        if isinstance(source, (str, bytes, os.PathLike)):
            _check_no_file_name(source)
            source = [source]
        if not isinstance(source, Iterable):
            raise ValueError(
                "Texts are strings or paths, or an iterable of these. "
                f"Received: source={source!r}"
            )
        if isinstance(source, Iterator):
            raise ValueError(
                "An iterator can be read only once; pass a list, or an object "
                f"whose __iter__ begins anew. Received: source={source!r}"
            )
        self._items = source
        self.files: list[pathlib.Path] = []
        if isinstance(source, (list, tuple)):
            self._find_files(source)

    def _find_files(self, items: list | tuple) -> None:
        paths = [item for item in items if isinstance(item, os.PathLike)]
        if paths and len(paths) < len(items):
            raise ValueError(
                "Pass either texts or paths, not both in one list. "
                f"Received: {len(paths)} paths among {len(items)} items"
            )
        for path in paths:
            self.files.extend(find_files(pathlib.Path(path)))
        for path in self.files:
            if file_type(path) == ".txt" and len(self.fields) > 1:
                raise ValueError(
                    f"A .txt file has no fields {list(self.fields)}; write "
                    f".jsonl or .parquet instead. Received: path={path}"
                )

    @property
    def size(self) -> int | None:
        """Bytes on disk, or characters in memory; None where unknown."""
        if self.files:
            return sum(path.stat().st_size for path in self.files)
        if not isinstance(self._items, (list, tuple)):
            return None
        return sum(
            len(value)
            for record, _ in self.read()
            for value in record
            if isinstance(value, str)
        )

    def read(self, rng: Any = None) -> Iterator[tuple[Record, bool]]:
        """Yields each record, and whether it ends there.

        Only texts of `.txt` files come in several pieces; the last one of a
        text carries True.

        Args:
            rng: A NumPy generator that shuffles the order of the files; None
                keeps it.
        """
        if not self.files:
            for number, item in enumerate(self._items):
                yield self._record(item, f"item {number}"), True
            return
        order = list(range(len(self.files)))
        if rng is not None:
            rng.shuffle(order)
        for index in order:
            path = self.files[index]
            reader = READERS[file_type(path)]
            for item, where, last in reader(path, list(self.fields)):
                yield self._record(item, where), last

    def _record(self, item: Any, where: str) -> Record:
        if len(self.fields) == 1 and not isinstance(item, (dict, tuple, list)):
            item = (item,)
        if isinstance(item, dict):
            missing = [name for name in self.fields if name not in item]
            if missing:
                raise ValueError(
                    f"The record lacks the field {missing[0]!r}; it has "
                    f"{sorted(map(str, item))}. Received: {where}"
                )
            item = [item[name] for name in self.fields]
        if not isinstance(item, (tuple, list)) or len(item) != len(self.fields):
            raise ValueError(
                f"A record holds {list(self.fields)}, as a tuple or a dict. "
                f"Received: {where}={item!r:.200}"
            )
        pairs = zip(self.fields.items(), item, strict=True)
        return tuple(
            _check_value(value, types, f"{where}, field {name!r}")
            for (name, types), value in pairs
        )


def find_files(path: pathlib.Path) -> list[pathlib.Path]:
    """Returns the file itself, or the files below a folder by name."""
    if path.is_dir():
        found = [
            file
            for file in sorted(path.rglob("*"))
            if file.is_file()
            and not any(
                part.startswith(".") for part in file.relative_to(path).parts
            )
        ]
        if not found:
            raise ValueError(
                f"The folder holds no files. Received: path={path}"
            )
    elif path.is_file():
        found = [path]
    else:
        raise ValueError(
            f"There is no such file or folder. Received: path={path}"
        )
    for file in found:
        if file_type(file) not in SUFFIXES:
            raise ValueError(
                f"Files are read by their suffix: {', '.join(SUFFIXES)}, each "
                "also with .gz. Rename plain text to .txt, or read the file "
                f"yourself and pass its text. Received: path={file}"
            )
    return found


def _check_no_file_name(text: Any) -> None:
    short = isinstance(text, str) and len(text) < 256 and "\0" not in text
    if short and os.path.exists(text):
        raise ValueError(
            "A str is a text, but this one names a file; wrap it in "
            f"pathlib.Path. Received: source={text!r}"
        )


def _check_value(value: Any, types: Any, where: str) -> Any:
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise not_utf8(where, error.start) from None
    if not isinstance(value, types):
        raise ValueError(
            f"Expected {types}, got {type(value).__name__}. Received: {where}="
            f"{value!r:.200}"
        )
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                "The text holds half a surrogate pair, which no UTF-8 text "
                f"can. Received: {where}, character {error.start}"
            ) from None
    return value
