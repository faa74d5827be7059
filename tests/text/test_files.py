import json

import pytest

from keras_bigmodel.text import ByteTokenizer, Tokenizer
from keras_bigmodel.text import files as files_module
from keras_bigmodel.text.files import TokenizerFolder, write_files
from tests.text.mutations import check_mutated_files, deep
from tests.text.tokenizers_for_tests import byte_pair, characters


@pytest.mark.parametrize(
    "make",
    [
        ByteTokenizer,
        characters,
        lambda: byte_pair("gpt2", 300),
        lambda: byte_pair("llama3", 300),
        lambda: byte_pair("sentencepiece", 300),
    ],
    ids=["byte", "character", "gpt2", "llama3", "sentencepiece"],
)
def test_damaged_files_load_or_say_what_is_wrong(make, tmp_path):
    assert check_mutated_files(make(), tmp_path, 200) > 100


def test_files_are_read_and_written(tmp_path):
    folder = write_files(
        tmp_path / "a" / "b", {"x.json": '{"é": 1}', "y": b"\0"}
    )
    assert sorted(path.name for path in folder.iterdir()) == ["x.json", "y"]
    found = TokenizerFolder(folder)
    assert "x.json" in found and "z" not in found
    assert found.json("x.json") == {"é": 1}
    assert found.bytes("y") == b"\0"
    alone = TokenizerFolder(folder / "x.json")
    assert "x.json" in alone and "y" not in alone
    write_files(folder, {"y": "new"})
    assert found.text("y") == "new"


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/b", "", "a\0", "..\\x"]
)
def test_names_never_leave_the_folder(name, tmp_path):
    (tmp_path / "x").write_text("secret")
    (tmp_path / "inner").mkdir()
    with pytest.raises(ValueError, match="without folders. Received: name="):
        TokenizerFolder(tmp_path / "inner").bytes(name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not the JSON it should be"),
        (b"[]", "must hold a JSON object"),
        (b"\xff{}", "must be UTF-8 text.*byte 0xff at 0"),
        (b'{"a": 1, "a": 2}', "names 'a' twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "Infinity is no number"),
        (b'{"a": "\\ud800"}', "surrogates not allowed"),
        (b'{"a": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
        (b'{"a":' * 100_000, "recursion depth"),
        (b"[" * 100_000, "recursion depth"),
    ],
)
def test_wrong_json_is_said(content, message, tmp_path):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        TokenizerFolder(tmp_path).json("x.json")


def test_characters_beyond_the_first_plane_may_be_escaped(tmp_path):
    (tmp_path / "x.json").write_text('{"a": "\\ud83d\\ude00"}')
    assert TokenizerFolder(tmp_path).json("x.json") == {"a": "\U0001f600"}


def test_large_files_are_not_read(tmp_path, monkeypatch):
    with open(tmp_path / "tokenizer.json", "wb") as file:
        file.truncate(2 * 1024**3)  # takes no room on the disk
    with pytest.raises(
        ValueError, match="is larger. Received: size=2147483648"
    ):
        Tokenizer.load(tmp_path)
    monkeypatch.setattr(files_module, "MAX_JSON_VALUES", 5)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"a": [[]] * 7}))
    with pytest.raises(ValueError, match="more than 5 values"):
        Tokenizer.load(tmp_path)


def test_deep_nesting_is_refused(tmp_path):
    byte_pair().save(tmp_path)
    path = tmp_path / "tokenizer.json"
    spec = json.loads(path.read_text())
    for depth in (100, 200):
        path.write_text(json.dumps({**spec, "normalizer": deep(depth)}))
        with pytest.raises(ValueError, match="Received: "):
            Tokenizer.load(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_files(tmp_path, {"x": "old"})

    def fail(*_):
        raise OSError("no room")

    monkeypatch.setattr(files_module.os, "replace", fail)
    with pytest.raises(OSError, match="no room"):
        write_files(tmp_path, {"x": "new"})
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(ValueError, match="no such folder or file"):
        TokenizerFolder(str(tmp_path) + "\0")
    with pytest.raises(ValueError, match="missing from .*Received: name='x'"):
        TokenizerFolder(tmp_path).bytes("x")
    (tmp_path / "x").write_text("")
    with pytest.raises(ValueError, match="this is a file. Received: path="):
        write_files(tmp_path / "x", {})
