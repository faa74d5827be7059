"""Read and write SentencePiece's own model files, without trusting them."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Iterator

MAX_PIECES = 2_000_000
UNIGRAM = 1
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclasses.dataclass
class PieceModel:
    """What a `spiece.model` holds, as far as it is used here.

    Args:
        pieces: Each piece with its log-probability and its type.
        model_type: 1 for a unigram model, 2 for byte pairs.
        charsmap: The precompiled character map, empty where there is none.
        adds_blank: Whether a blank is put before every text.
        byte_fallback: Whether unknown characters become their bytes.
    """

    pieces: list[tuple[str, float, int]]
    model_type: int = UNIGRAM
    charsmap: bytes = b""
    adds_blank: bool = True
    byte_fallback: bool = False


def read_piece_model(content: bytes) -> PieceModel:
    """Returns what the file holds.

    Raises:
        ValueError: where the content is no such file.
    """
    model = PieceModel([])
    for number, value in _fields(content):
        if number == 1:
            model.pieces.append(_read_piece(_as(bytes, value)))
        elif number == 2:
            for inner, option in _fields(_as(bytes, value)):
                if inner == 3:
                    model.model_type = _as(int, option)
                elif inner == 35:
                    model.byte_fallback = bool(_as(int, option))
        elif number == 3:
            for inner, option in _fields(_as(bytes, value)):
                if inner == 2:
                    model.charsmap = _as(bytes, option)
                elif inner == 3:
                    model.adds_blank = bool(_as(int, option))
        if len(model.pieces) > MAX_PIECES:
            raise _wrong(f"it has more than {MAX_PIECES} pieces")
    if not model.pieces:
        raise _wrong("it has no pieces")
    return model


def write_piece_model(model: PieceModel) -> bytes:
    """Returns the content of a file that holds the model."""
    content = b"".join(
        _field(
            1,
            _field(1, piece.encode())
            + _varint(2 << 3 | _FIXED32)
            + struct.pack("<f", score)
            + _field(3, kind),
        )
        for piece, score, kind in model.pieces
    )
    kinds = [kind for _, _, kind in model.pieces]
    trainer = _field(3, model.model_type)
    trainer += _field(4, len(model.pieces))
    trainer += _field(35, int(model.byte_fallback))
    if UNKNOWN in kinds:
        trainer += _field(40, kinds.index(UNKNOWN))
    normalizer = _field(2, model.charsmap) + _field(3, int(model.adds_blank))
    return content + _field(2, trainer) + _field(3, normalizer)


def _read_piece(content: bytes) -> tuple[str, float, int]:
    piece, score, kind = b"", 0.0, NORMAL
    for number, value in _fields(content):
        if number == 1:
            piece = _as(bytes, value)
        elif number == 2:
            score = _as(float, value)
        elif number == 3:
            kind = _as(int, value)
    if not math.isfinite(score) or not NORMAL <= kind <= BYTE:
        raise _wrong(f"a piece has the score {score} and the type {kind}")
    try:
        return piece.decode(), score, kind
    except UnicodeDecodeError:
        raise _wrong(f"a piece is not UTF-8: {piece[:30]!r}") from None


def _fields(content: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yields the number and value of each field of a protocol buffer."""
    place = 0
    while place < len(content):
        key, place = _read_varint(content, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _read_varint(content, place)
            yield number, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _BYTES:
            size, place = _read_varint(content, place)
        if size is None or not number:
            raise _wrong(f"field {number} has the unknown form {kind}")
        value, place = content[place : place + size], place + size
        if place > len(content):
            raise _wrong(f"field {number} claims {size} bytes")
        if kind == _FIXED32:
            yield number, struct.unpack("<f", value)[0]
        else:
            yield number, value


def _read_varint(content: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(content):
            raise _wrong("it ends within a number")
        value |= (content[place] & 0x7F) << shift
        place += 1
        if content[place - 1] < 0x80:
            return value, place
    raise _wrong("a number has more than 64 bits")


def _as(kind: type, value: int | float | bytes) -> int | float | bytes:
    if not isinstance(value, kind):
        raise _wrong(f"expected {kind.__name__}, got {value!r:.30}")
    return value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _wrong(reason: str) -> ValueError:
    return ValueError(
        "This is not the SentencePiece model it should be. "
        f"Received: a file where {reason}"
    )
