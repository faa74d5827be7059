"""Text to train on: read, cleared of repetitions, split by document."""

import dataclasses
import gzip
import lzma
import os
import pathlib
import random
import re
from collections.abc import Callable, Iterable

from keras_bigmodel.text.readers import READERS, file_type, not_utf8
from keras_bigmodel.text.sources import Source

PYTHON_DOCUMENTATION = "the Python language reference (pydoc_data.topics)"
HELD_OUT_SHARE = 0.1
MAX_HELD_OUT_BYTES = 250_000
MIN_BYTES = 10_000

# How many passages the held-out part of one long text is made of, about.
_PASSAGES_HELD_OUT = 8

# A repeated title is no leak; a repeated paragraph of this length is one.
_MIN_REPEATED_CHARACTERS = 40
_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Documents to train on and documents held out, and where they came from.

    Args:
        name: what the text is, for people.
        train: the documents to train on.
        held_out: the documents to evaluate on.
        repeated_bytes: how much was left out because it stood there before.
    """

    name: str
    train: list[str]
    held_out: list[str]
    repeated_bytes: int = 0


def load_corpus(path: str | os.PathLike | None = None) -> Corpus:
    """Read text and split it by document.

    Paragraphs that occur twice are kept once, so that nothing held out was
    trained on. Where whole documents are too long to hold out a tenth, they
    are cut into passages, which are then split.

    Args:
        path: a UTF-8 file, or a folder of such; None is the language
            reference that comes with Python.

    Raises:
        ValueError: the path is missing, its text is not UTF-8 or too short.
    """
    if path is None:
        name, documents = PYTHON_DOCUMENTATION, python_documentation()
    else:
        name, documents = os.fspath(path), read_documents(pathlib.Path(path))
    total = num_bytes(documents)
    documents = without_repetitions(documents)
    kept = num_bytes(documents)
    if kept < MIN_BYTES:
        raise ValueError(
            f"There is too little text to learn from: at least {MIN_BYTES:,} "
            "bytes are needed once repeated paragraphs are left out. "
            f"Received: {name} with {kept:,} bytes"
        )
    wanted = min(HELD_OUT_SHARE * kept, MAX_HELD_OUT_BYTES)
    train, held_out = split(documents, wanted)
    if num_bytes(held_out) < wanted / 2:
        size = int(wanted / _PASSAGES_HELD_OUT)
        documents = [
            passage for text in documents for passage in passages(text, size)
        ]
        train, held_out = split(documents, wanted)
    return Corpus(name, train, held_out, total - kept)


def python_documentation() -> list[str]:
    """The topics of Python's language reference, part of every CPython."""
    from pydoc_data.topics import topics

    return [topics[name] for name in sorted(topics)]


def read_documents(path: pathlib.Path) -> list[str]:
    """The documents of a file or folder; files without a known form are text.

    Args:
        path: the file or folder; hidden files of a folder are left out.

    Raises:
        ValueError: the path is missing or empty, or a file is not UTF-8.
    """
    if not path.exists():
        raise ValueError(
            f"There is no such file or folder. Received: path={path}"
        )
    files = [path]
    if path.is_dir():
        files = [
            file
            for file in sorted(path.rglob("*"))
            if file.is_file()
            and not any(
                part.startswith(".") for part in file.relative_to(path).parts
            )
        ]
    documents = [text for file in files for text in _texts_of(file)]
    documents = [text for text in documents if text.strip()]
    if not documents:
        raise ValueError(f"There is no text in it. Received: path={path}")
    return documents


def _texts_of(file: pathlib.Path) -> Iterable[str]:
    if file_type(file) not in READERS:
        data = file.read_bytes()
        try:
            return [data.decode("utf-8-sig")]
        except UnicodeDecodeError as error:
            raise not_utf8(f"path={file}", error.start) from None
    texts, pieces = [], []
    for (piece,), last in Source(file, {"text": str}).read():
        pieces.append(piece)
        if last:
            texts.append("".join(pieces))
            pieces = []
    return texts


def without_repetitions(documents: Iterable[str]) -> list[str]:
    """The documents without the paragraphs that stood there before.

    Differences in blanks do not count. What is left of a document that had
    repetitions is joined by empty lines.

    Args:
        documents: the texts, in order.
    """
    seen: set[str] = set()
    kept = []
    for document in documents:
        paragraphs = _PARAGRAPH_BREAK.split(document)
        fresh = []
        for paragraph in paragraphs:
            words = " ".join(paragraph.split())
            if words not in seen or len(words) < _MIN_REPEATED_CHARACTERS:
                fresh.append(paragraph)
            seen.add(words)
        if len(fresh) < len(paragraphs):
            document = "\n\n".join(fresh)
        if document.strip():
            kept.append(document)
    return kept


def passages(text: str, size: int) -> list[str]:
    """Cut a text into passages of at least `size` bytes.

    Cuts fall on empty lines where that gives several passages, else on line
    ends, else between any two characters.

    Args:
        text: what to cut.
        size: bytes in a passage; only the last one may be shorter.
    """
    paragraphs = _joined(re.split(r"(?<=\n\n)", text), size)
    if len(paragraphs) > 1 or len(text.encode()) <= size:
        return paragraphs
    lines = _joined(text.splitlines(keepends=True), size)
    return lines if len(lines) > 1 else _joined(text, size)


def _joined(units: Iterable[str], size: int) -> list[str]:
    """Neighbours together until each group has `size` bytes."""
    groups, group, count = [], [], 0
    for unit in units:
        group.append(unit)
        count += len(unit.encode())
        if count >= size:
            groups.append("".join(group))
            group, count = [], 0
    if group:
        groups.append("".join(group))
    return groups


def split(documents: list[str], wanted: float) -> tuple[list[str], list[str]]:
    """Split documents into those to train on and those held out.

    The choice is random but always the same. A document is held out while it
    fits into what is wanted, so a very long one never is.

    Args:
        documents: the texts.
        wanted: how many bytes to hold out at most.
    """
    order = list(range(len(documents)))
    random.Random(1).shuffle(order)
    chosen: set[int] = set()
    for index in order:
        size = len(documents[index].encode())
        if size <= wanted:
            chosen.add(index)
            wanted -= size
    train = [text for i, text in enumerate(documents) if i not in chosen]
    return train, [documents[i] for i in sorted(chosen)]


def num_bytes(documents: Iterable[str]) -> int:
    """How many UTF-8 bytes the documents hold."""
    return sum(len(document.encode()) for document in documents)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=9, mtime=0)


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=9)


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip -9": _gzip,
    "xz -9": _xz,
}


def compressed_bits_per_byte(documents: Iterable[str]) -> dict[str, float]:
    """Bits per byte that general compressors need for the joined documents."""
    data = "".join(documents).encode()
    return {
        name: 8 * len(compress(data)) / len(data)
        for name, compress in COMPRESSORS.items()
    }
