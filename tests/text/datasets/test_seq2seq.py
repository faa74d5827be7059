"""Pairs: shifted targets, weights, buckets."""

import json
import types

import numpy as np
import pytest

from keras_bigmodel.text import ByteTokenizer, seq2seq_dataset

START, END, PAD = 257, 258, 256
PAIRS = [
    (f"source {n} " * (1 + n % 3), f"target {n} " * (1 + n % 4))
    for n in range(29)
]


def make(pairs=PAIRS, sequence_length=48, batch_size=5, **options):
    tokenizer = options.pop("tokenizer", None) or ByteTokenizer()
    return seq2seq_dataset(
        pairs, tokenizer, sequence_length, batch_size, **options
    )


def read(dataset):
    """The pairs of texts of a dataset, after checking its form."""
    pairs = []
    for inputs, labels, weights in dataset.as_numpy_iterator():
        sources, targets = inputs["source_ids"], inputs["target_ids"]
        assert targets.shape == labels.shape == weights.shape
        assert sources.shape[1] in (16, 24, 32, 48)
        assert targets.shape[1] in (16, 24, 32, 48)
        for source, target, label, weight in zip(
            sources, targets, labels, weights, strict=True
        ):
            size = int(weight.sum())
            assert weight[:size].all() and label[size - 1] == END
            assert target[0] == START
            np.testing.assert_array_equal(target[1:size], label[: size - 1])
            assert (target[size:] == PAD).all() and (label[size:] == PAD).all()
            pairs.append(
                (
                    bytes(source[source < 256].tolist()).decode(),
                    bytes(label[: size - 1].tolist()).decode(),
                )
            )
    return pairs


def test_pairs_come_back():
    assert sorted(read(make())) == sorted(PAIRS)
    assert int(make().cardinality()) == len(list(make()))


def test_files(tmp_path):
    lines = [json.dumps({"en": s, "de": t}) for s, t in PAIRS]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    found = read(make(tmp_path / "a.jsonl", fields=("en", "de")))
    assert found == read(make())


def test_shuffling_follows_the_seed():
    dataset = make(shuffle=True, seed=3)
    first, second = read(dataset), read(dataset)
    assert first != second and sorted(first) == sorted(PAIRS)
    assert first == read(make(shuffle=True, seed=3))
    repeated = make(shuffle=True, seed=3, repeat=True)
    steps = len(list(make()))
    assert read(repeated.take(2 * steps)) == first + second
    assert read(repeated.skip(steps).take(steps)) != first


def test_special_tokens_and_two_tokenizers():
    bytes_ = ByteTokenizer()
    source = types.SimpleNamespace(
        encode=bytes_.encode, prefix_ids=[300], suffix_ids=[301], pad_id=302
    )
    target = types.SimpleNamespace(
        encode=bytes_.encode, start_id=None, end_id=303, pad_id=304
    )
    dataset = make([("a", "bc")], tokenizer=source, target_tokenizer=target)
    ((inputs, labels, weights),) = dataset.as_numpy_iterator()
    assert inputs["source_ids"][0, :5].tolist() == [300, 97, 301, 302, 302]
    assert inputs["target_ids"][0, :4].tolist() == [304, 98, 99, 304]
    assert labels[0, :4].tolist() == [98, 99, 303, 304]
    assert weights[0, :4].tolist() == [1, 1, 1, 0]


def test_long_pairs():
    pairs = [("a" * 48, "b" * 47), ("c", "d" * 48), ("e" * 49, "f")]
    assert read(make(pairs[:1])) == pairs[:1]
    for pair in pairs[1:]:
        with pytest.raises(ValueError, match="and a row has room for 4[78]"):
            make([pair])
    assert read(make(pairs, too_long="drop")) == pairs[:1]
    found = sorted(read(make(pairs, too_long="cut")))
    assert found == [pairs[0], ("c", "d" * 47), ("e" * 48, "f")]


def test_bad_input():
    endless = types.SimpleNamespace(
        prefix_ids=[], suffix_ids=[], pad_id=0, start_id=1, end_id=None
    )
    with pytest.raises(ValueError, match="never learns to stop"):
        make(tokenizer=endless)
    with pytest.raises(ValueError, match="There is no pair"):
        make([])
    with pytest.raises(ValueError, match="There is no pair"):
        make([("a" * 99, "b")], too_long="drop")
    with pytest.raises(ValueError, match="sequence_length=0"):
        make(sequence_length=0)
    with pytest.raises(ValueError, match="item 0, field 'target'=7"):
        make([("a", 7)])
