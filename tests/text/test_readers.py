"""Readers of single files: pieces, offsets, damage."""

import gzip
import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_bigmodel.text import readers
from keras_bigmodel.text.readers import READERS, file_type


def values(path, fields=("text",)):
    return [item for item, _, _ in READERS[file_type(path)](path, list(fields))]


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.txt", ".txt"), ("a.TXT.gz", ".txt"), ("a.b.jsonl.gz", ".jsonl")],
)
def test_type_of_file(name, suffix):
    assert file_type(pathlib.Path(name)) == suffix


def test_text_comes_in_pieces_cut_between_words(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "PIECE_BYTES", 37)
    text = "".join(f"línea {n} 字\n" + "\n" * (n % 3) for n in range(97))
    path = tmp_path / "a.txt"
    path.write_text("\ufeff" + text, encoding="utf-8")
    pieces = list(readers.read_text(path, ["text"]))
    assert "".join(item for item, _, _ in pieces) == text
    assert [last for _, _, last in pieces] == [False] * (len(pieces) - 1) + [
        True
    ]
    assert len(pieces) > 20
    for item, _, last in pieces:
        assert last or item[-1] == "\n" and not item[-2].isspace()


@pytest.mark.parametrize("text", ["x" * 1009, "ab " * 331, "\n" * 1013])
def test_text_without_line_breaks_is_cut_at_last(tmp_path, monkeypatch, text):
    monkeypatch.setattr(readers, "PIECE_BYTES", 31)
    monkeypatch.setattr(readers, "MAX_PIECE_CHARACTERS", 101)
    path = tmp_path / "a.txt"
    path.write_text(text)
    pieces = values(path)
    assert "".join(pieces) == text
    assert max(map(len, pieces)) < 101 + 31


def test_offset_of_a_bad_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "PIECE_BYTES", 7)
    path = tmp_path / "a.txt"
    path.write_bytes("字字字字".encode() + b"\xff" + b"abc")
    with pytest.raises(ValueError, match=r"not UTF-8.*a\.txt, .*offset 12"):
        values(path)
    path.write_bytes("字字字字".encode()[:-1])
    with pytest.raises(ValueError, match=r"not UTF-8.*offset 9"):
        values(path)


def test_lines_of_json(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    records = [{"text": "a\nb", "n": 1}, {"text": "字"}]
    lines = "\n\n".join(map(json.dumps, records))
    path.write_bytes(gzip.compress(lines.encode()))
    assert values(path) == records


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "a"', "not valid JSON.*line 2"),
        (b'["a"]', "must be a JSON object.*line 2: list"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"text": ' + b"1" * 5000 + b"}", "not valid JSON"),
        (b'{"text": "\xff"}', "not UTF-8.*line 2"),
    ],
)
def test_bad_lines_of_json(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n' + line)
    with pytest.raises(ValueError, match=message):
        values(path)


def test_a_line_may_not_be_endless(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "MAX_LINE_BYTES", 103)
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "a" * 101}))
    with pytest.raises(ValueError, match="103 bytes at most.*line 1"):
        values(path)


@pytest.mark.parametrize("name", ["a.parquet", "a.parquet.gz"])
def test_rows_of_a_table(tmp_path, name):
    texts = [f"text {n}" for n in range(601)]
    table = pa.table({"text": texts, "other": list(range(601))})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=101)
    if name.endswith(".gz"):
        content = (tmp_path / "a.parquet").read_bytes()
        (tmp_path / name).write_bytes(gzip.compress(content))
    assert values(tmp_path / name) == [{"text": text} for text in texts]
    with pytest.raises(ValueError, match=r"lacks the column 'body'.*other"):
        values(tmp_path / name, ["body"])


@pytest.mark.parametrize(
    "name", ["a.txt.gz", "a.jsonl.gz", "a.parquet", "a.parquet.gz"]
)
def test_damaged_files(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"PAR1 not what it should be PAR1")
    with pytest.raises(ValueError, match=r"cannot be read.*Received: path="):
        values(path)
    if name.endswith(".gz"):
        noise = np.random.default_rng(0).bytes(9973).hex().encode()
        path.write_bytes(gzip.compress(noise)[:-7])
        with pytest.raises(ValueError, match=r"cannot be read|not valid JSON"):
            values(path)


def test_parquet_needs_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    path = tmp_path / "a.parquet"
    path.write_bytes(b"")
    with pytest.raises(ImportError, match=r"keras-bigmodel\[parquet\]"):
        values(path)
