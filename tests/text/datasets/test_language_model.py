"""Windows and packed documents: every token predicted once."""

import gzip
import json
import types

import keras
import numpy as np
import pytest

from keras_bigmodel.text import ByteTokenizer, language_model_dataset
from keras_bigmodel.text.datasets import pipeline

TEXTS = ["to be, or not to be", "字", "", "that is the question" * 3]
START, END, PAD = 257, 258, 256


def stream(texts, start=START, end=END):
    ends = [[] if i is None else [i] for i in (start, end)]
    return [
        token
        for text in texts
        if text
        for token in (*ends[0], *text.encode(), *ends[1])
    ]


def rows(dataset):
    parts = list(dataset.as_numpy_iterator())
    return keras.tree.map_structure(lambda *x: np.concatenate(x), *parts)


def make(texts=TEXTS, sequence_length=7, batch_size=3, **options):
    tokenizer = options.pop("tokenizer", None) or ByteTokenizer()
    return language_model_dataset(
        texts, tokenizer, sequence_length, batch_size, **options
    )


def test_windows_predict_each_token_once():
    token_ids, next_ids, weights = rows(make())
    wanted = stream(TEXTS)
    count = len(wanted) - 1
    assert token_ids.dtype == next_ids.dtype == np.int32
    assert weights.dtype == np.float32 and weights.shape == token_ids.shape
    assert token_ids.reshape(-1)[:count].tolist() == wanted[:-1]
    assert next_ids.reshape(-1)[:count].tolist() == wanted[1:]
    assert (next_ids.reshape(-1)[count:] == PAD).all()
    np.testing.assert_array_equal(
        weights.reshape(-1), np.arange(weights.size) < count
    )


@pytest.mark.parametrize("overlap", [1, 3, 6])
def test_overlap_gives_context_without_weight(overlap):
    token_ids, next_ids, weights = rows(make(overlap=overlap))
    assert next_ids[weights > 0].tolist() == stream(TEXTS)[1:]
    assert (weights[1:, :overlap] == 0).all() and weights[0].all()
    np.testing.assert_array_equal(
        token_ids[1:, :overlap], token_ids[:-1, 7 - overlap :]
    )


def test_without_remainder_shapes_are_fixed():
    dataset = make(drop_remainder=True)
    token_ids, next_ids = rows(dataset)
    assert [s.shape for s in dataset.element_spec] == [(3, 7), (3, 7)]
    count = token_ids.size
    assert token_ids.reshape(-1).tolist() == stream(TEXTS)[:count]
    assert count == (len(stream(TEXTS)) - 1) // 21 * 21
    assert len(make(drop_remainder=True, overlap=2).element_spec) == 3


def fake_tokenizer(start_id, end_id, pad_id=None):
    encode = ByteTokenizer().encode
    return types.SimpleNamespace(
        encode=encode, start_id=start_id, end_id=end_id, pad_id=pad_id
    )


@pytest.mark.parametrize(
    ("start", "end"), [(None, None), (None, 300), (299, None)]
)
def test_tokenizers_without_start_or_end(start, end):
    found = rows(make(tokenizer=fake_tokenizer(start, end)))
    wanted = stream(TEXTS, start, end)
    assert found[1][found[2] > 0].tolist() == wanted[1:]
    assert (found[1][found[2] == 0] == 0).all()


def test_one_token_for_start_and_end_stands_once_between_documents():
    found = rows(make(tokenizer=fake_tokenizer(300, 300)))
    wanted = [300, *stream(TEXTS, None, 300)]
    assert found[1][found[2] > 0].tolist() == wanted[1:]


def test_packed_documents():
    dataset = make(sequence_length=23, packed=True)
    inputs, next_ids, weights = rows(dataset)
    tokens, segments = inputs["token_ids"], inputs["segment_ids"]
    pairs = []
    for row in range(len(tokens)):
        for segment in range(1, segments[row].max() + 1):
            place = segments[row] == segment
            read, predicted = tokens[row][place], next_ids[row][place]
            np.testing.assert_array_equal(read[1:], predicted[:-1])
            pairs += zip(read.tolist(), predicted.tolist(), strict=True)
    wanted = []
    for text in filter(None, TEXTS):
        document = stream([text])
        wanted += zip(document[:-1], document[1:], strict=True)
    assert sorted(pairs) == sorted(wanted)
    np.testing.assert_array_equal(weights, segments > 0)
    assert (tokens[segments == 0] == PAD).all()


@pytest.mark.parametrize("packed", [False, True])
def test_files_of_all_kinds_give_what_texts_give(tmp_path, packed, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [f"document {n} — 字\n" * (1 + n % 5) for n in range(31)]
    lines = "\n".join(json.dumps({"body": text}) for text in texts)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    pq.write_table(pa.table({"body": texts}), tmp_path / "a.parquet")
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number:03}.txt").write_text(text)
    wanted = rows(make(texts, 11, packed=packed))
    monkeypatch.setattr(pipeline, "IN_MEMORY_SIZE", 0)
    for name in ("a.jsonl", "a.jsonl.gz", "a.parquet", "folder"):
        found = rows(make(tmp_path / name, 11, packed=packed, field="body"))
        keras.tree.map_structure(np.testing.assert_array_equal, found, wanted)


def test_long_texts_are_read_in_pieces(tmp_path, monkeypatch):
    text = "".join(f"line {n}\n" for n in range(997))
    (tmp_path / "a.txt").write_text(text)
    monkeypatch.setattr(pipeline, "IN_MEMORY_SIZE", 0)
    monkeypatch.setattr("keras_bigmodel.text.readers.PIECE_BYTES", 101)
    for packed in (False, True):
        found = rows(make(tmp_path / "a.txt", 13, packed=packed))
        wanted = rows(make([text], 13, packed=packed))
        keras.tree.map_structure(np.testing.assert_array_equal, found, wanted)


@pytest.mark.parametrize("packed", [False, True])
def test_shuffling_follows_the_seed_and_changes_with_the_epoch(packed):
    def epoch(dataset):
        _, next_ids, weights = rows(dataset)
        return next_ids[weights > 0].tolist()

    options = {"packed": packed, "shuffle": True, "shuffle_buffer": 5}
    dataset = make(seed=1, **options)
    first, second = epoch(dataset), epoch(dataset)
    again = make(seed=1, **options)
    assert [epoch(again), epoch(again)] == [first, second]
    assert first != second != epoch(make(seed=2, **options))
    in_order = epoch(make(packed=packed))
    assert sorted(first) == sorted(second) == sorted(in_order)
    assert epoch(make(packed=packed, shuffle=False, seed=9)) == in_order


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_resumed_run_sees_the_same_batches(tmp_path, monkeypatch, in_memory):
    for number in range(7):
        text = f"file {number} " * 19
        (tmp_path / f"{number}.txt").write_text(text)
    if not in_memory:
        monkeypatch.setattr(pipeline, "IN_MEMORY_SIZE", 0)
    options = {"shuffle": True, "shuffle_buffer": 17, "repeat": True}
    whole = list(make(tmp_path, **options).take(101).as_numpy_iterator())
    # 67 batches are more than one epoch.
    resumed = make(tmp_path, **options).skip(67).take(34)
    for found, wanted in zip(
        resumed.as_numpy_iterator(), whole[67:], strict=True
    ):
        keras.tree.map_structure(np.testing.assert_array_equal, found, wanted)


def test_it_feeds_fit():
    dataset = make(shuffle=True)
    model = keras.Sequential(
        [keras.layers.Embedding(259, 5), keras.layers.Dense(259)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    history = model.fit(dataset, epochs=2, verbose=0, shuffle=False)
    first, second = history.history["loss"]
    assert second < first


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("", "shorter than one window.*and too few tokens"),
        ([], "shorter than one window"),
        (["", ""], r"shorter.*pathlib\.Path.*too few"),
        ("abc", r"takes sequence_length \+ 1 = 8 tokens.*and 5 tokens"),
        (b"abc\xff", "not UTF-8.*offset 3"),
    ],
)
def test_texts_too_short_or_bad(texts, message):
    with pytest.raises(ValueError, match=message):
        make(texts)


def test_packed_texts_need_a_token():
    with pytest.raises(ValueError, match="not one token to predict"):
        make([""], packed=True)
    assert len(rows(make(["a"], packed=True))[1]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_length": 0}, "sequence_length=0"),
        ({"batch_size": 1.5}, "batch_size=1.5"),
        ({"overlap": -1}, "overlap=-1"),
        ({"overlap": 7}, "overlap by less.*overlap=7, sequence_length=7"),
        ({"overlap": 1, "packed": True}, "not at all.*packed=True"),
        ({"seed": -1}, "seed=-1"),
        ({"shuffle_buffer": 0}, "shuffle_buffer=0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match="no such file or folder"):
        make(tmp_path / "a.txt")
