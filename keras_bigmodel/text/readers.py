"""Readers of one file each, lazily and with little memory."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import json
import pathlib
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

PIECE_BYTES = 2**18
MAX_LINE_BYTES = 2**26
MAX_PIECE_CHARACTERS = 2**23

# Where every tokenizer starts a new word anyway: a line break with no other
# blank beside it.
_LINE_BREAK = re.compile(r"\S\n(?=\S)")
_WORD_BREAK = re.compile(r"\S(?=\s)")
_SEARCHED_TAIL = 2**16

# A record, where it stands, and whether it ends there.
Item = tuple[Any, str, bool]


def file_type(path: pathlib.Path) -> str:
    """Returns the suffix that says how to read the file, without `.gz`."""
    if path.suffix.lower() == ".gz":
        path = path.with_suffix("")
    return path.suffix.lower()


def not_utf8(where: Any, offset: int) -> ValueError:
    """Returns the error that says where a text is not UTF-8."""
    return ValueError(
        "The text is not UTF-8. Convert it first, for example with "
        "`iconv -f LATIN1 -t UTF-8`. "
        f"Received: {where}, first bad byte at offset {offset}"
    )


@contextlib.contextmanager
def _open(path: pathlib.Path) -> Iterator[Any]:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rb") as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"The file cannot be read: {error}. Received: path={path}"
        ) from error


def read_text(path: pathlib.Path, fields: list[str]) -> Iterator[Item]:
    """Yields the text in pieces, so many that they can be encoded at once."""
    where = f"path={path}"
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    held, position = "", 0
    with _open(path) as file:
        while True:
            block = file.read(PIECE_BYTES)
            waiting = len(decoder.getstate()[0])
            try:
                held += decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                offset = position - waiting + error.start
                raise not_utf8(where, offset) from None
            position += len(block)
            if not block:
                break
            cut = _find_cut(held)
            if cut:
                yield held[:cut], where, False
                held = held[cut:]
    yield held, where, True


def _find_cut(text: str) -> int:
    """Returns where a long text may be cut, 0 where it must be read on."""
    start = max(0, len(text) - _SEARCHED_TAIL)
    cuts = [match.end() for match in _LINE_BREAK.finditer(text, start)]
    if cuts or len(text) < MAX_PIECE_CHARACTERS:
        return cuts[-1] if cuts else 0
    cuts = [match.end() for match in _WORD_BREAK.finditer(text, start)]
    return cuts[-1] if cuts else len(text)


def read_json(path: pathlib.Path, fields: list[str]) -> Iterator[Item]:
    """Yields the object of each line that is not blank."""
    with _open(path) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            where = f"path={path}, line {number}"
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(
                    f"A line may hold {MAX_LINE_BYTES} bytes at most; write "
                    f"one record a line. Received: {where}"
                )
            if not line.strip():
                continue
            yield _parse_json(line, where), where, True


def _parse_json(line: bytes, where: str) -> dict:
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise not_utf8(where, error.start) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"The line is not valid JSON: {error}. Received: {where}"
        ) from None
    if not isinstance(record, dict):
        raise ValueError(
            "Each line must be a JSON object. "
            f"Received: {where}: {type(record).__name__}"
        )
    return record


def read_table(path: pathlib.Path, fields: list[str]) -> Iterator[Item]:
    """Yields the named fields of each row."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "Reading .parquet needs pyarrow: "
            "pip install 'keras-bigmodel[parquet]'."
        ) from error
    with _open(path) as file, tempfile.TemporaryFile() as unpacked:
        if path.suffix.lower() == ".gz":
            # A table is read from its end: it must be seekable.
            shutil.copyfileobj(file, unpacked)
            file = unpacked
        try:
            table = pyarrow.parquet.ParquetFile(file)
            columns = table.schema_arrow.names
            missing = [name for name in fields if name not in columns]
            if missing:
                raise ValueError(
                    f"The table lacks the column {missing[0]!r}; it has "
                    f"{columns}. Received: path={path}"
                )
            row = 0
            for batch in table.iter_batches(batch_size=256, columns=fields):
                for record in batch.to_pylist():
                    yield record, f"path={path}, row {row}", True
                    row += 1
        except pyarrow.ArrowException as error:
            raise ValueError(
                f"The table cannot be read: {error}. Received: path={path}"
            ) from error


READERS: dict[str, Callable[[pathlib.Path, list[str]], Iterator[Item]]] = {
    ".txt": read_text,
    ".jsonl": read_json,
    ".parquet": read_table,
}
