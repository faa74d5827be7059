import json

import pytest
import tensorflow as tf
import tokenizers

from keras_bigmodel.text import BytePairTokenizer, Tokenizer
from keras_bigmodel.text.byte_level import byte_characters
from tests.text.tokenizers_for_tests import (
    BROKEN,
    TEXTS,
    assert_same,
    byte_pair,
    changed,
    spec_of,
    training_texts,
)

PATTERNS = ["gpt2", "llama3", "qwen2", "sentencepiece"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_faces_are_the_library(pattern):
    tokenizer = byte_pair(pattern)
    ids = assert_same(tokenizer, TEXTS + BROKEN)
    assert assert_same(tokenizer, []) == []
    assert assert_same(tokenizer, ["", ""]) == [[], []]
    assert max(map(max, filter(None, ids))) < tokenizer.vocabulary_size
    # It does merge: fewer tokens than bytes.
    assert len(ids[2]) < len(TEXTS[2])


@pytest.mark.parametrize("pattern", ["gpt2", "llama3", "qwen2"])
def test_byte_level_texts_come_back_byte_for_byte(pattern):
    tokenizer = byte_pair(pattern)
    texts = tf.constant(TEXTS)
    ids = tokenizer(texts)
    again = tokenizer.detokenize(ids, skip_special_tokens=False)
    assert again.numpy().tolist() == texts.numpy().tolist()
    assert tokenizer.decode(ids.to_list(), False) == TEXTS


def test_sentence_piece_gives_texts_back():
    tokenizer = byte_pair("sentencepiece")
    # One blank is put before a text, and one taken away.
    texts = ["it is", " it", "习\U0001f600\x00", "a\n\tb"]
    assert tokenizer.decode(tokenizer.encode(texts)) == texts


def test_merges_follow_the_ranks():
    tokenizer = BytePairTokenizer.train(
        ["aaab aaab aab"], 259, pad_token=None, start_token=None, end_token="E"
    )
    merges = [tuple(pair) for pair in tokenizer.spec["model"]["merges"]]
    assert merges == [("a", "a"), ("a", "b"), ("Ġ", "aa")]
    assert tokenizer.vocabulary_size == 259
    assert (tokenizer.pad_id, tokenizer.start_id) == (None, None)
    assert tokenizer.end_id == 0
    # "aa" was learned first, so "ab" finds its "a" taken.
    tokens = [tokenizer.id_to_token(i) for i in tokenizer.encode(["aab"])[0]]
    assert tokens == ["aa", "b"]


def test_roles_and_special_tokens():
    tokenizer = BytePairTokenizer.train(
        training_texts(), 300, special_tokens=["<|user|>", "<|end|>"]
    )
    roles = (tokenizer.pad_id, tokenizer.start_id, tokenizer.end_id)
    assert roles == (0, 1, 1)
    assert tokenizer.special_tokens == {
        "<|pad|>": 0,
        "<|endoftext|>": 1,
        "<|user|>": 2,
        "<|end|>": 3,
    }
    ids = assert_same(tokenizer, ["<|user|>hi<|end|><|endoftext|>"])
    assert (ids[0][0], ids[0][-2:]) == (2, [3, 1])


def test_long_words_and_runs_are_exact():
    words = [
        "abcdefghijklmnopqrstuvwxyz" * 60,
        "the" * 700,
        "a" * 3001,
        "ab" * 1501,
        "-" * 2000 + " " * 1999,
    ]
    assert_same(byte_pair(), words)
    assert_same(byte_pair("sentencepiece"), words)


def test_whole_words_of_the_vocabulary_are_not_merged():
    # Without the merge that makes it, "the" is found only as a whole.
    spec = spec_of(byte_pair("llama3"))
    vocabulary = spec["model"]["vocab"]
    vocabulary["zqzq"] = len(vocabulary)
    for ignores in (False, True):
        spec["model"]["ignore_merges"] = ignores
        tokenizer = BytePairTokenizer(
            tokenizers.Tokenizer.from_str(json.dumps(spec))
        )
        ids = assert_same(tokenizer, ["zqzq", "zqzq 1", *TEXTS])
        assert (ids[0] == [vocabulary["zqzq"]]) is ignores


def test_form_c_is_made_first():
    tokenizer = changed(byte_pair("qwen2"), normalizer={"type": "NFC"})
    ids = assert_same(tokenizer, ["e\u0301", "\u00e9", *TEXTS])
    assert ids[0] == ids[1]


def test_all_files_are_written_and_read(tmp_path):
    folder = byte_pair().save(tmp_path / "tokenizer")
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "merges.txt",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    ]
    expected = byte_pair().encode(TEXTS)
    assert Tokenizer.load(folder).encode(TEXTS) == expected
    assert Tokenizer.load(folder).pad_id == 0
    single = Tokenizer.load(folder / "tokenizer.json")
    assert single.encode(TEXTS) == expected
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    old = BytePairTokenizer.load(folder)
    assert old.encode(TEXTS) == expected
    assert (old.pad_id, old.start_id, old.end_id) == (None, 1, 1)


def test_gpt2_files_with_the_special_token_last_are_read(tmp_path):
    vocabulary = {c: i for i, c in enumerate(byte_characters())}
    vocabulary |= {"th": 256, "the": 257, "<|endoftext|>": 258}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nt h\nth e\n")
    tokenizer = Tokenizer.load(tmp_path)
    ids = assert_same(tokenizer, ["the then<|endoftext|>", *TEXTS])
    assert ids[0] == [257, vocabulary["Ġ"], 257, vocabulary["n"], 258]


def test_what_is_wrong_is_said(tmp_path):
    train = BytePairTokenizer.train
    with pytest.raises(ValueError, match="one of .*'qwen2'.*pattern='gpt9'"):
        train(["a"], 300, pattern="gpt9")
    with pytest.raises(ValueError, match="larger vocabulary.*_size=257"):
        train(["a"], 257)
    with pytest.raises(ValueError, match="larger vocabulary.*_size=258"):
        train(["a"], 258, pattern="sentencepiece")
    with pytest.raises(ValueError, match="at least one text that is not empty"):
        train(["", ""], 300)
    with pytest.raises(ValueError, match="a list of texts"):
        train("a text", 300)
    with pytest.raises(ValueError, match="must be in the vocabulary.*bos"):
        BytePairTokenizer(byte_pair().library, {"bos_token": "<s>"})
    byte_pair().save(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "merges.txt").write_text("x y z\n")
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(ValueError, match="pair of tokens. Received: .*'z'"):
        Tokenizer.load(tmp_path)
    (tmp_path / "merges.txt").unlink()
    (tmp_path / "tokenizer_config.json").write_text(
        '{"keras_bigmodel_class": "BytePairTokenizer"}'
    )
    with pytest.raises(ValueError, match="missing.*Received: name='merges"):
        Tokenizer.load(tmp_path)
