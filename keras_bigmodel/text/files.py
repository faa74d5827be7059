"""Read and write a tokenizer's files without trusting them."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The largest tokenizer.json in use has 33 MB and two million values.
MAX_FILE_BYTES = 40 * 1024 * 1024
MAX_JSON_VALUES = 2_500_000
# Two of these spell one character; one alone spells none.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class TokenizerFolder:
    """The files of a tokenizer: a folder, or one file alone.

    Only plain names are read, never a path that leaves the folder, and only
    files up to 40 MiB.

    Args:
        path: the folder or the file.

    Raises:
        ValueError: there is nothing at the path.
    """

    def __init__(self, path: str | Path):
        path_text = str(path)
        if "\0" in path_text or not (path := Path(path)).exists():
            raise ValueError(
                f"There is no such folder or file. Received: path={path_text!r}"
            )
        self.path = path
        self.folder = path if path.is_dir() else path.parent
        self.only = None if path.is_dir() else path.name

    def __contains__(self, name: str) -> bool:
        if self.only is not None:
            return name == self.only
        return (self.folder / name).is_file()

    def bytes(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            ValueError: the name is no plain file name, or the file is
                missing or too large.
        """
        if not name or Path(name).name != name or "\0" in name or "\\" in name:
            raise ValueError(
                "A tokenizer names its files without folders. "
                f"Received: name={name!r:.100}"
            )
        if name not in self:
            raise ValueError(
                f"The file is missing from {str(self.folder)!r}. "
                f"Received: name={name!r}"
            )
        file = self.folder / name
        size = file.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ValueError(
                f"A tokenizer's file has at most {MAX_FILE_BYTES} bytes; "
                f"{name} is larger. Received: size={size}"
            )
        return file.read_bytes()

    def text(self, name: str) -> str:
        """Return a file's content as text.

        Raises:
            ValueError: as for `bytes`, or the file is not UTF-8.
        """
        content = self.bytes(name)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{name} must be UTF-8 text: {error.reason}. "
                f"Received: byte {content[error.start]:#x} at {error.start}"
            ) from None

    def json(self, name: str) -> dict[str, Any]:
        """Return the object a JSON file holds.

        Raises:
            ValueError: as for `text`, or the file is no JSON object, nests
                too deeply or repeats a name.
        """
        text = self.text(name)
        try:
            _check_size(text)
            content = json.loads(
                text, object_pairs_hook=_unique_names, parse_constant=_refuse
            )
            if _SURROGATE.search(text):
                json.dumps(content, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{name} is not the JSON it should be: {error}. "
                f"Received: {text[:60]!r}"
            ) from None
        if not isinstance(content, dict):
            raise ValueError(
                f"{name} must hold a JSON object. Received: {text[:60]!r}"
            )
        return content


def write_files(path: str | Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files into a folder, each beside its place and then renamed.

    Args:
        path: the folder; it is made where missing.
        files: names and contents.

    Raises:
        ValueError: the path is a file.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            "A tokenizer is saved into a folder, and this is a file. "
            f"Received: path={str(path)!r}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        content = content.encode() if isinstance(content, str) else content
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            # mkstemp gives files to their owner alone.
            os.chmod(temporary, 0o644)
            os.replace(temporary, folder / name)
        except BaseException:
            os.unlink(temporary)
            raise
    return folder


def _check_size(text: str) -> None:
    # Small texts can make large objects: an empty list takes two characters.
    values = sum(text.count(mark) for mark in ",[{")
    if values > MAX_JSON_VALUES:
        raise ValueError(f"it holds more than {MAX_JSON_VALUES} values")


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"it names {name[:60]!r} twice")
            seen.add(name)
    return names


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
