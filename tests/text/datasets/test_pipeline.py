"""What the datasets share."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.text import ByteTokenizer
from keras_bigmodel.text.datasets import pipeline
from keras_bigmodel.text.datasets.pipeline import (
    EncodedSource,
    batched,
    check_at_least,
    cut,
    documents,
    encode_records,
    encode_texts,
    shuffled,
    to_dataset,
)
from keras_bigmodel.text.sources import Source


def arrays(*rows):
    return [np.array(row, np.int32) for row in rows]


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "2", None])
def test_numbers_are_checked(value):
    with pytest.raises(ValueError, match=r"at least 1.*Received: size="):
        check_at_least(1, size=value)
    check_at_least(1, size=np.int64(1))


def test_records_are_encoded_many_at_a_time(monkeypatch):
    monkeypatch.setattr(pipeline, "ENCODED_CHARACTERS", 7)
    calls = []

    def encode(records):
        calls.append(len(records))
        return [text.upper() for (text,) in records]

    records = [(("abc",), False), (("de",), True), (("f",), True)]
    found = list(encode_records(records, encode))
    assert found == [("ABC", False), ("DE", True), ("F", True)]
    assert calls == [2, 1]


def test_small_sources_are_encoded_once(monkeypatch):
    calls = []

    def encode(records):
        calls.append(len(records))
        return encode_texts(ByteTokenizer(), records)

    source = EncodedSource(Source(["ab", "c"], {"text": str}), encode)
    for _ in range(3):
        rows = [(tokens.tolist(), last) for tokens, last in source.read(None)]
        assert rows == [([97, 98], True), ([99], True)]
    assert source.in_memory and calls == [2]
    monkeypatch.setattr(pipeline, "IN_MEMORY_SIZE", 2)
    source = EncodedSource(Source(["ab", "c"], {"text": str}), encode)
    assert not source.in_memory and calls == [2]
    assert len(list(source.read(None))) == 2 and calls == [2, 2]


def test_documents_begin_and_end():
    pieces = zip(
        arrays([5], [6, 7], [], [], [8], []),
        [False, True, True, False, False, True],
        strict=True,
    )
    found = [np.concatenate(list(d)).tolist() for d in documents(pieces, 1, 2)]
    assert found == [[1, 5, 6, 7, 2], [1, 8, 2]]
    found = [list(d) for d in documents([(arrays([5])[0], True)])]
    assert np.concatenate(found[0]).tolist() == [5]


@pytest.mark.parametrize("overlap", [0, 1, 3])
@pytest.mark.parametrize("total", [0, 1, 4, 5, 6, 11, 101])
def test_chunks_follow_each_other(total, overlap):
    tokens = np.arange(total, dtype=np.int32)
    parts = np.array_split(tokens, 7)
    chunks = list(cut(parts, 5, overlap))
    new = [chunk[overlap if i else 0 :] for i, chunk in enumerate(chunks)]
    assert np.concatenate([*new, []]).tolist() == tokens.tolist()
    assert all(len(chunk) == 5 for chunk in chunks[:-1])
    for left, right in itertools.pairwise(chunks):
        assert left[5 - overlap :].tolist() == right[:overlap].tolist()
    assert all(len(part) for part in new)


def test_shuffled_keeps_all_and_follows_the_seed():
    def order(seed, size):
        return list(shuffled(range(101), size, np.random.default_rng(seed)))

    assert order(0, 13) == order(0, 13) != order(1, 13)
    assert sorted(order(0, 13)) == list(range(101)) != order(0, 13)
    # No item comes sooner than a full buffer allows.
    assert all(item - place <= 13 for place, item in enumerate(order(0, 13)))
    assert order(0, 1) == list(range(101))


def test_batches_of_structures():
    examples = [({"a": np.full(3, n)}, np.array(n)) for n in range(7)]
    batches = list(batched(examples, 2, drop_remainder=False))
    assert [len(labels) for _, labels in batches] == [2, 2, 2, 1]
    assert batches[1][0]["a"].tolist() == [[2] * 3, [3] * 3]
    assert len(list(batched(examples, 2, drop_remainder=True))) == 3


@pytest.mark.parametrize("countable", [True, False])
def test_epochs_of_a_dataset(countable):
    def batches(rng):
        order = range(5) if rng is None else rng.permutation(5)
        return (np.int32(number) for number in order)

    def make(seed=3, repeat=False):
        spec = tf.TensorSpec((), tf.int32)
        return to_dataset(batches, spec, seed, repeat, countable)

    def read(dataset, count):
        return [int(n) for n in dataset.take(count)]

    assert int(make().cardinality()) == (5 if countable else -2)
    assert int(make(repeat=True).cardinality()) == -1
    assert read(make(seed=None), 5) == list(range(5))
    dataset = make()
    first, second = read(dataset, 5), read(dataset, 5)
    assert sorted(first) == sorted(second) and first != second
    assert read(make(repeat=True), 10) == first + second
    assert read(make(repeat=True).skip(7), 3) == second[2:]
