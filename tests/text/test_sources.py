"""Sources: what is found, what is refused, in which order it is read."""

import collections
import json
import tracemalloc

import numpy as np
import pytest

from keras_bigmodel.text.sources import Source, find_files

TEXT = {"text": str}
PAIR = {"source": str, "target": str}


def records(source, fields=None, rng=None):
    return [item for item, _ in Source(source, fields or TEXT).read(rng)]


def test_texts_in_memory():
    assert records("a text") == [("a text",)]
    assert records(["a", b"b", {"text": "c", "more": 1}, ("d",)]) == [
        ("a",),
        ("b",),
        ("c",),
        ("d",),
    ]
    pairs = [("a", "b"), ["c", "d"], {"target": "f", "source": "e"}]
    assert records(pairs, PAIR) == [("a", "b"), ("c", "d"), ("e", "f")]
    assert Source(pairs, PAIR).size == 6


def test_an_iterable_is_read_anew_each_time():
    source = Source(collections.deque(["a", "b"]), TEXT)
    assert source.size is None
    assert list(source.read()) == list(source.read())
    with pytest.raises(ValueError, match="read only once"):
        Source((text for text in "ab"), TEXT)


def make_folder(folder):
    (folder / "b").mkdir()
    (folder / "b" / "c.txt").write_text("third")
    (folder / "b" / ".hidden").write_text("hidden")
    (folder / "a.jsonl").write_text('{"text": "first"}\n{"text": "second"}')
    return folder


def test_folders_are_read_in_the_order_of_names(tmp_path):
    folder = make_folder(tmp_path)
    assert records(folder) == [("first",), ("second",), ("third",)]
    assert records([folder / "b", folder / "a.jsonl"])[0] == ("third",)
    assert Source(folder, TEXT).size == 5 + 36


def test_files_are_shuffled_by_the_generator(tmp_path):
    for number in range(11):
        (tmp_path / f"{number:02}.txt").write_text(str(number))
    first = records(tmp_path, rng=np.random.default_rng(5))
    assert first == records(tmp_path, rng=np.random.default_rng(5))
    assert first != records(tmp_path, rng=np.random.default_rng(6))
    assert sorted(first) == sorted(records(tmp_path)) != first


@pytest.mark.parametrize(
    ("source", "fields", "message"),
    [
        (7, TEXT, "strings or paths.*source=7"),
        ([7], TEXT, "item 0, field 'text'=7"),
        ([b"ok", b"no\xff"], TEXT, "not UTF-8.*item 1.*offset 2"),
        (["\ud800"], TEXT, "surrogate.*item 0, field 'text', character 0"),
        (["a"], PAIR, r"holds \['source', 'target'\].*item 0='a'"),
        ([("a", "b", "c")], PAIR, "as a tuple or a dict"),
        ([{"source": "a"}], PAIR, "lacks the field 'target'.*item 0"),
    ],
)
def test_bad_records(source, fields, message):
    with pytest.raises(ValueError, match=message):
        records(source, fields)


def test_bad_files(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.docx").write_text("")
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "a.jsonl").write_text(json.dumps({"body": "a"}))
    with pytest.raises(ValueError, match="no such file or folder.*nowhere"):
        find_files(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"\.jsonl.*Rename.*path=.*a\.docx"):
        find_files(tmp_path)
    with pytest.raises(ValueError, match="holds no files"):
        find_files(tmp_path / "empty")
    with pytest.raises(ValueError, match="not both"):
        Source(["a", tmp_path / "a.txt"], TEXT)
    with pytest.raises(ValueError, match="has no fields"):
        Source(tmp_path / "a.txt", PAIR)
    with pytest.raises(ValueError, match=r"lacks the field 'text'.*line 1"):
        records(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match=r"wrap it in pathlib\.Path"):
        Source(str(tmp_path / "a.txt"), TEXT)


def test_memory_stays_flat(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a line of text\n" * 2_000_000)
    tracemalloc.start()
    length = sum(len(text) for (text,) in records_lazily(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length == 30_000_000
    assert peak < 12 * 2**20


def records_lazily(path):
    return (item for item, _ in Source(path, TEXT).read())
