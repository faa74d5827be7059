"""Precompiled character maps: read, written, damaged."""

import random
import struct
import time

import pytest
from tokenizers import normalizers

from keras_bigmodel.text.charsmap import (
    MAX_UNITS,
    read_charsmap,
    write_charsmap,
)

PAIRS = {"a": "X", "é": "", "e\u0301": "é", "ﬁ": "fi", "\U0001f600": ":)"}


def test_what_is_written_is_read():
    content = write_charsmap(PAIRS)
    assert read_charsmap(content) == PAIRS
    assert read_charsmap(write_charsmap({})) == {}


def test_the_library_reads_the_same():
    library = normalizers.Precompiled(write_charsmap(PAIRS))
    assert library.normalize_str("ab éﬁ\U0001f600e\u0301") == "Xb fi:)é"


def test_longer_strings_are_not_looked_for():
    content = write_charsmap({"abcde": "1", "abcdef": "2", "字字": "3"})
    assert read_charsmap(content) == {"abcde": "1"}


def test_maps_too_large_to_write():
    with pytest.raises(ValueError, match="too many sequences"):
        write_charsmap({chr(0x4E00 + i): "a" for i in range(2000)})


def unit(label=0, offset=0, ends=False):
    return offset << 10 | ends << 8 | label


def content_of(units, texts=b"a\0"):
    body = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(body)) + body + texts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no size"),
        (b"\0\0\0\0", "claims 0 bytes"),
        (struct.pack("<I", 2**31) + b"abcd", "claims 2147483648 bytes"),
        (struct.pack("<I", 6) + b"abcdef", "claims 6 bytes"),
        (content_of([0] * (MAX_UNITS + 1)), "more than"),
        (content_of([unit(offset=300)]), "outside of its trie"),
        # A loop: every node is its own child by every byte.
        (content_of([unit(offset=256), *[0] * 255,
                     *[unit(i, i) for i in range(256)]]),
         "too many strings"),
        (content_of([unit(offset=256), *[0] * 255, 0,
                     unit(1, 257, True), *[0] * 254], b""),
         "a text is said to lie"),
        (content_of([unit(offset=256), *[0] * 255, 0,
                     unit(1, 1000, True), *[0] * 254]),
         "an end lies outside"),
    ],
)  # fmt: skip
def test_damaged_maps(content, message):
    with pytest.raises(ValueError, match=f"damaged: .*{message}.*Received: "):
        read_charsmap(content)


def test_mutated_maps_end_quickly():
    content = write_charsmap(PAIRS)
    rng = random.Random(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(rng.randrange(1, 9)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        damaged = damaged[: rng.choice([len(damaged), rng.randrange(9999)])]
        started = time.process_time()
        try:
            read_charsmap(bytes(damaged))
        except ValueError as error:
            refused += 1
            assert "Received: " in str(error)
        assert time.process_time() - started < 1
    assert refused > 50


def test_bytes_that_are_no_text():
    content = write_charsmap({"a": "é"}).replace("é".encode(), b"\xff\xff")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_charsmap(content)
