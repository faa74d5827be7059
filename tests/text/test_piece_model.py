"""SentencePiece's model files: read, written, damaged."""

import random
import struct
import time

import pytest

from keras_bigmodel.text.piece_model import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    PieceModel,
    read_piece_model,
    write_piece_model,
)

MODEL = PieceModel(
    [
        ("<unk>", 0.0, UNKNOWN),
        ("</s>", 0.0, CONTROL),
        ("\u2581the", -3.25, NORMAL),
        ("<0x0A>", -7.5, BYTE),
        ("字" * 50, -1e3, NORMAL),
    ],
    charsmap=b"\x04\0\0\0abcd\0",
    adds_blank=False,
    byte_fallback=True,
)


def test_what_is_written_is_read():
    assert read_piece_model(write_piece_model(MODEL)) == MODEL
    plain = PieceModel([("a", -1.0, NORMAL)])
    assert read_piece_model(write_piece_model(plain)) == plain


def test_other_fields_are_passed_over():
    content = write_piece_model(MODEL)
    # Field 9: a number, 8 bytes, 4 bytes, bytes.
    more = b"\x48\x05" + b"\x49" + bytes(8) + b"\x4d" + bytes(4) + b"\x4a\x01a"
    assert read_piece_model(more + content + more) == MODEL


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has no pieces"),
        (b"\x0a", "it ends within a number"),
        (b"\x0a\x05ab", "field 1 claims 5 bytes"),
        (b"\x0a\x80\x80\x80\x80\x10ab", r"claims 4294967296 bytes"),
        (b"\xff" * 11, "more than 64 bits"),
        (b"\x0b\x0c", "field 1 has the unknown form 3"),
        (b"\x02\x00", "field 0 has the unknown form"),
        (b"\x08\x01", "expected bytes, got 1"),
        (b"\x0a\x03\x0a\x01\xff", "a piece is not UTF-8"),
        (b"\x0a\x02\x18\x09", "score 0.0 and the type 9"),
        (
            b"\x0a\x05\x15" + struct.pack("<f", float("nan")),
            "the score nan",
        ),
        (b"\x0a\x02\x10\x01", "expected float, got 1"),
    ],
)
def test_damaged_files(content, message):
    with pytest.raises(ValueError, match=f"Received: a file where.*{message}"):
        read_piece_model(content)


def test_mutated_files_end_quickly():
    rng = random.Random(0)
    content = write_piece_model(MODEL)
    refused = 0
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(rng.randrange(1, 5)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        started = time.process_time()
        try:
            read_piece_model(bytes(damaged[: rng.randrange(1, 600)]))
        except ValueError as error:
            refused += 1
            assert "Received: " in str(error)
        assert time.process_time() - started < 1
    assert refused > 100
