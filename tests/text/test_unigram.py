"""Unigram models: both faces, files, training, refusals."""

import functools
import json

import pytest
import tensorflow as tf
import tokenizers

from keras_bigmodel.text import Tokenizer, UnigramTokenizer
from keras_bigmodel.text.piece_library import library_of_pieces
from keras_bigmodel.text.piece_model import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    PieceModel,
)
from tests.text.charsmaps import charsmap
from tests.text.mutations import check_mutated_files
from tests.text.tokenizers_for_tests import (
    BROKEN,
    TEXTS,
    assert_same,
    spec_of,
    training_texts,
)

MORE = [
    "the  quick\u3000brown   fox ",
    "ｆｕｌｌ ﬁne Ⅳ e\u0301\u0302 a\u0323\u0301",
    "\u2581a \u2581\u2581 b",
    "</s> a </s><pad><mask>x<unk>",
    "unknown: \U0001f600\U0001f601 \u0e01\u0e02",
    "aaaaaaa" * 31,
]


@functools.cache
def unigram():
    return UnigramTokenizer.train(
        training_texts(), 499, special_tokens=["<mask>"]
    )


@functools.cache
def pieces(byte_fallback=False):
    """The pieces of a trained tokenizer with what T5's files have."""
    trained = unigram().spec["model"]["vocab"]
    kinds = {"<unk>": UNKNOWN, "<mask>": USER_DEFINED}
    kinds |= dict.fromkeys(["<pad>", "</s>"], CONTROL)
    found = [(piece, score, kinds.get(piece, NORMAL))
             for piece, score in trained]  # fmt: skip
    if byte_fallback:
        found += [(f"<0x{byte:02X}>", -20.0, BYTE) for byte in range(256)]
    return PieceModel(found, charsmap=charsmap(), byte_fallback=byte_fallback)


@functools.cache
def like_t5(byte_fallback=False):
    return UnigramTokenizer(library_of_pieces(pieces(byte_fallback)))


def changed(tokenizer, **changes):
    spec = spec_of(tokenizer, **changes)
    return UnigramTokenizer(tokenizers.Tokenizer.from_str(json.dumps(spec)))


@pytest.mark.parametrize(
    "make",
    [unigram, like_t5, lambda: like_t5(True)],
    ids=["trained", "t5", "bytes"],
)
def test_both_faces_are_the_library(make):
    assert_same(make(), TEXTS + BROKEN + MORE)
    end = make().end_id
    assert assert_same(make(), ["", ""]) == [[end], [end]]
    assert make()(tf.constant([], tf.string)).to_list() == []


def test_as_xlm_roberta_has_it():
    spec = spec_of(like_t5())
    first = spec["normalizer"]["normalizers"][0]
    tokenizer = changed(
        like_t5(),
        normalizer={
            "type": "Sequence",
            "normalizers": [
                first,
                {"type": "Lowercase"},
                {"type": "Strip", "strip_left": True, "strip_right": False},
                {"type": "Replace", "pattern": {"Regex": " {2,}"},
                 "content": "\\ "},
            ],
        },
        pre_tokenizer={
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": "\u2581",
                 "prepend_scheme": "always", "split": True},
            ],
        },
    )  # fmt: skip
    assert_same(tokenizer, TEXTS + BROKEN + MORE)


@pytest.mark.parametrize(
    ("scheme", "split"), [("always", False), ("first", True), ("never", False)]
)
def test_every_way_to_mark_words(scheme, split):
    metaspace = {
        "type": "Metaspace",
        "replacement": "\u2581",
        "prepend_scheme": scheme,
        "split": split,
    }
    tokenizer = changed(unigram(), pre_tokenizer=metaspace, decoder=metaspace)
    assert_same(tokenizer, MORE + TEXTS[:6] + ["<mask> a<mask>b", " a"])


def test_the_likeliest_pieces_are_taken():
    vocabulary = [
        ["<unk>", 0.0],
        ["\u2581", -2.0],
        ["\u2581a", -4.0],
        ["b", -2.0],
        ["ab", -3.5],
        ["abb", -4.5],
    ]
    tokenizer = changed(
        unigram(),
        added_tokens=[],
        post_processor=None,
        model__vocab=vocabulary,
        model__unk_id=0,
    )
    ids = assert_same(tokenizer, ["ab", "a", "abb", "xy", "axxb", "abxab"])
    # "_ ab" costs 5.5, "_a b" 6; what is unknown in a row is one.
    assert ids == [[1, 4], [2], [1, 5], [1, 0], [2, 0, 3], [1, 4, 0, 4]]


def test_roles_and_special_tokens():
    tokenizer = unigram()
    assert (tokenizer.pad_id, tokenizer.end_id) == (0, 1)
    assert tokenizer.start_id is None
    assert tokenizer.suffix_ids == [1]
    assert tokenizer.special_tokens == {
        "<pad>": 0, "</s>": 1, "<unk>": 2, "<mask>": 3
    }  # fmt: skip
    texts = ["it is", "two words"]
    assert tokenizer.decode(tokenizer.encode(texts)) == texts


def test_files(tmp_path):
    for tokenizer in (unigram(), like_t5(), like_t5(True)):
        folder = tokenizer.save(tmp_path / str(id(tokenizer)))
        names = sorted(path.name for path in folder.iterdir())
        assert names == [
            "spiece.model",
            "tokenizer.json",
            "tokenizer_config.json",
        ]
        wanted = tokenizer.encode(TEXTS + MORE)
        assert Tokenizer.load(folder).encode(TEXTS + MORE) == wanted
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").unlink()
        loaded = Tokenizer.load(folder)
        assert loaded.encode(TEXTS + MORE) == wanted
        # A token that is not special is looked for, but stays in texts.
        assert {"<pad>", "</s>", "<unk>"} <= set(loaded.special_tokens)


def test_models_that_sentencepiece_cannot_hold_are_kept_in_json(tmp_path):
    tokenizer = changed(unigram(), normalizer=None)
    folder = tokenizer.save(tmp_path)
    assert not (folder / "spiece.model").exists()
    wanted = tokenizer.encode(MORE)
    assert Tokenizer.load(folder).encode(MORE) == wanted


def test_tokens_for_what_was_left_out(tmp_path):
    folder = unigram().save(tmp_path)
    (folder / "tokenizer.json").unlink()
    config = folder / "tokenizer_config.json"
    config.write_text('{"extra_ids": 3}')
    tokenizer = Tokenizer.load(folder)
    size = unigram().vocabulary_size
    ids = [tokenizer.token_to_id(f"<extra_id_{n}>") for n in range(3)]
    assert ids == [size + 2, size + 1, size]
    config.write_text('{"extra_ids": 100000}')
    with pytest.raises(ValueError, match="extra_ids=100000"):
        Tokenizer.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalizer": {"type": "NFKC"}}, "normalizer of type NFKC"),
        ({"pre_tokenizer": {"type": "Whitespace"}},
         "pre_tokenizer of type Whitespace"),
        ({"pre_tokenizer": None}, "pre_tokenizer"),
        ({"decoder": {"type": "ByteFallback"}}, "decoder of type ByteF"),
        ({"model__unk_id": None}, "unknown token.*unk_id=None"),
        ({"model__byte_fallback": True}, "every byte.*without '<0x00>'"),
    ],
)  # fmt: skip
def test_components_that_are_not_supported(changes, message):
    with pytest.raises(ValueError, match=message):
        changed(unigram(), **changes)


def test_bytes_need_a_special_unknown_token():
    with pytest.raises(ValueError, match="must be a special token.*unk_id=2"):
        changed(like_t5(True), added_tokens=[])


def test_training_needs_text_and_room():
    with pytest.raises(ValueError, match="at least one text"):
        UnigramTokenizer.train([""], 99)
    with pytest.raises(ValueError, match="not large enough.*vocabulary_size=5"):
        UnigramTokenizer.train(["abcdefgh"], 5)


def test_damaged_files(tmp_path):
    tokenizer = UnigramTokenizer.train(training_texts()[:3], 211)
    assert check_mutated_files(tokenizer, tmp_path, 200) > 50
