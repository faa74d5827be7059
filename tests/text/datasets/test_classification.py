"""Texts and their classes."""

import json
import types

import numpy as np
import pytest

from keras_bigmodel.text import ByteTokenizer, classification_dataset

EXAMPLES = [(f"text {n} " * (1 + n % 4), n % 3) for n in range(23)]


def make(examples=EXAMPLES, sequence_length=40, batch_size=5, **options):
    tokenizer = options.pop("tokenizer", None) or ByteTokenizer()
    return classification_dataset(
        examples, tokenizer, sequence_length, batch_size, **options
    )


def read(dataset):
    found = []
    for token_ids, labels in dataset.as_numpy_iterator():
        assert token_ids.dtype == labels.dtype == np.int32
        assert token_ids.shape[1] in (16, 24, 32, 40)
        for row, label in zip(token_ids, labels, strict=True):
            found.append((bytes(row[row < 256].tolist()).decode(), int(label)))
    return found


def test_examples_come_back():
    assert sorted(read(make())) == sorted(EXAMPLES)
    names = ["zero", "one", "two"]
    named = [(text, names[label]) for text, label in EXAMPLES]
    assert read(make(named, label_names=names)) == read(make())


def test_files_and_shuffling(tmp_path):
    lines = [json.dumps({"review": t, "stars": n}) for t, n in EXAMPLES]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines))
    options = {"fields": ("review", "stars"), "shuffle": True, "seed": 5}
    found = read(make(path, **options))
    assert found == read(make(path, **options)) != read(make())
    assert sorted(found) == sorted(EXAMPLES)


def test_special_tokens_are_kept_when_a_text_is_cut():
    tokenizer = types.SimpleNamespace(
        encode=ByteTokenizer().encode,
        prefix_ids=[300],
        suffix_ids=[301],
        pad_id=256,
    )
    options = {"tokenizer": tokenizer, "sequence_length": 5}
    ((token_ids, _),) = make(
        [("abcdef", 0), ("a", 1)], too_long="cut", **options
    ).as_numpy_iterator()
    assert token_ids.tolist() == [
        [300, 97, 98, 99, 301],
        [300, 97, 301, 256, 256],
    ]
    with pytest.raises(ValueError, match="has 6 tokens.*room for 3"):
        make([("abcdef", 0)], **options)
    with pytest.raises(ValueError, match="sequence_length=2"):
        make(tokenizer=tokenizer, sequence_length=2)


@pytest.mark.parametrize(
    ("examples", "names", "message"),
    [
        ([], None, "There is no text"),
        ([("a", "good")], None, "`label_names`.*label='good'"),
        ([("a", -1)], None, "label=-1"),
        ([("a", True)], None, "label=True"),
        ([("a", 1.0)], None, "field 'label'=1.0"),
        ([("a", "good")], ["bad"], r"\['bad'\].*label='good'"),
        ([("a", 0)], ["x", "x"], "name of its own"),
    ],
)
def test_bad_labels(examples, names, message):
    with pytest.raises(ValueError, match=message):
        make(examples, label_names=names)
