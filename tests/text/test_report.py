"""The report: numbers by hand, a picture that is one."""

import sys

import numpy as np
import pytest

from keras_bigmodel.text import (
    ByteTokenizer,
    WordPieceTokenizer,
    report_text,
)
from keras_bigmodel.text.datasets import pipeline


def test_numbers():
    texts = ["abc", "字", "", "abcdefg"]
    report = report_text(texts, ByteTokenizer(), 3)
    assert report == {
        "texts": 4,
        "bytes": 13,
        "characters": 11,
        "tokens": 13,
        "bytes_per_token": 1,
        "tokens_per_byte": 1,
        "unknown_rate": 0,
        "vocabulary_used": 10 / 259,
        "too_long": 1 / 4,
        "length_percentiles": {
            point: np.percentile([3, 3, 0, 7], point)
            for point in (5, 25, 50, 75, 95, 100)
        },
    }
    assert report_text(texts, ByteTokenizer())["too_long"] is None


def test_unknown_tokens_are_counted():
    tokenizer = WordPieceTokenizer.train(["some known words"], 60)
    report = report_text(["some words 字 words", "some"], tokenizer)
    assert report["unknown_rate"] == pytest.approx(1 / report["tokens"])


def test_long_files_are_one_text(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_bigmodel.text.readers.PIECE_BYTES", 11)
    monkeypatch.setattr(pipeline, "ENCODED_CHARACTERS", 29)
    (tmp_path / "a.txt").write_text("a line\n" * 31)
    (tmp_path / "b.txt").write_text("b")
    report = report_text(tmp_path, ByteTokenizer())
    assert (report["texts"], report["tokens"]) == (2, 7 * 31 + 1)
    report = report_text(tmp_path, ByteTokenizer(), most_texts=1)
    assert (report["texts"], report["tokens"]) == (1, 7 * 31)


def test_picture(tmp_path):
    matplotlib_image = pytest.importorskip("matplotlib.image")
    path = tmp_path / "new" / "report.png"
    texts = ["a" * n for n in range(1, 97)]
    report_text(texts, ByteTokenizer(), 53, picture=path)
    picture = matplotlib_image.imread(path)
    assert picture.shape[:2] == (504, 1200)
    assert picture.std() > 0.05


def test_a_picture_needs_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"keras-bigmodel\[plot\]"):
        report_text(["a"], ByteTokenizer(), picture=tmp_path / "a.png")


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([""], {}, r"not one token.*texts=\[''\]"),
        (["a"], {"sequence_length": 0}, "sequence_length=0"),
        (["a"], {"most_texts": 0}, "most_texts=0"),
        ([7], {}, "item 0"),
    ],
)
def test_bad_input(texts, options, message):
    with pytest.raises(ValueError, match=message):
        report_text(texts, ByteTokenizer(), **options)
