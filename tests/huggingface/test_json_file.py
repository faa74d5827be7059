"""JSON within bounds."""

import pytest

from keras_bigmodel.huggingface.json_file import parse_json, read_json


def test_an_object_is_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, 2.5, null, "é"]}', encoding="utf-8")
    assert read_json(path, 100) == {"a": [1, 2.5, None, "é"]}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "not the JSON it should be"),
        (b"[1]", "must hold a JSON object"),
        (b'{"a": 1, "a": 1}', "key 'a' twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b'{"a": ' + b"[" * 100_000, "not the JSON"),
        (b'{"a": "\xff"}', "not the JSON"),
        (b'{"a": [' + b"0," * 1_000_001, "at most 1000000 objects"),
    ],
)
def test_wrong_json(raw, message):
    with pytest.raises(ValueError, match=message):
        parse_json(raw, "it")


def test_a_file_that_is_too_large(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ValueError, match=r"at most 1 bytes.*size=2"):
        read_json(tmp_path / "a.json", 1)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_json(tmp_path / "a.json", 1)
