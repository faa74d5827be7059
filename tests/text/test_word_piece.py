"""WordPiece: both faces, files, training, refusals."""

import functools
import json

import pytest
import tokenizers
from tokenizers import models

from keras_bigmodel.text import Tokenizer, WordPieceTokenizer
from tests.text.mutations import check_mutated_files
from tests.text.tokenizers_for_tests import (
    BROKEN,
    TEXTS,
    assert_same,
    spec_of,
    training_texts,
)

ACCENTS = [
    "Café NAÏVE Ångström İstanbul ǅ ﬁ Straße ΑΣ",
    "한국어 ひらがな 東京tokyo\U00020000",
    "[MASK] [CLS]x[SEP] ##ing # [unk] [UNK]",
    "a\u1b44\u302e\u0301\u302a b\u0d4e\u0e34\u0300\u093c",
    "\u302e\u1b44 \u302e\u20dd\u1b44",
]


@functools.cache
def word_piece(lowercase=True):
    texts = training_texts() + ACCENTS * 3
    return WordPieceTokenizer.train(texts, 1009, lowercase=lowercase)


def changed(**changes):
    spec = spec_of(word_piece(), **changes)
    return WordPieceTokenizer(tokenizers.Tokenizer.from_str(json.dumps(spec)))


def fixed(tokens, **options):
    """A tokenizer with these pieces."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    spec = spec_of(word_piece())
    pieces = [*special, *tokens]
    spec["model"]["vocab"] = {piece: i for i, piece in enumerate(pieces)}
    spec["model"] |= options
    return WordPieceTokenizer(tokenizers.Tokenizer.from_str(json.dumps(spec)))


@pytest.mark.parametrize("lowercase", [True, False])
def test_both_faces_are_the_library(lowercase):
    tokenizer = word_piece(lowercase)
    assert_same(tokenizer, TEXTS + BROKEN + ACCENTS)
    assert assert_same(tokenizer, []) == []
    assert assert_same(tokenizer, ["", " \n"]) == [[2, 3], [2, 3]]


@pytest.mark.parametrize(
    ("clean_text", "handle_chinese_chars", "strip_accents"),
    [(True, False, True), (False, True, True), (False, False, False)],
)
def test_every_way_to_normalize(
    clean_text, handle_chinese_chars, strip_accents
):
    options = {
        "type": "BertNormalizer",
        "clean_text": clean_text,
        "handle_chinese_chars": handle_chinese_chars,
        "strip_accents": strip_accents,
        "lowercase": False,
    }
    assert_same(changed(normalizer=options), TEXTS + BROKEN + ACCENTS)


def test_without_a_normalizer():
    assert_same(changed(normalizer=None), TEXTS + BROKEN + ACCENTS)


def test_the_longest_pieces_are_taken():
    tokenizer = fixed(["un", "una", "##a", "##ffa", "##ble", "b", "##b"])
    texts = ["unaffable", "unable", "b bb bbb", "unax", "Unaffa ble"]
    ids = assert_same(tokenizer, texts)
    tokens = [[tokenizer.id_to_token(i) for i in row[1:-1]] for row in ids]
    assert tokens == [
        ["una", "##ffa", "##ble"],
        ["una", "##ble"],
        ["b", "b", "##b", "b", "##b", "##b"],
        ["[UNK]"],
        ["una", "##ffa", "[UNK]"],
    ]


def test_words_that_are_too_long_are_unknown():
    tokenizer = fixed(["a", "##a"], max_input_chars_per_word=7)
    ids = assert_same(tokenizer, ["a" * 7, "a" * 8, "aa aaaaaaaaa aa"])
    assert [len(row) - 2 for row in ids] == [7, 1, 5]


def test_vocabularies_without_inner_pieces():
    ids = assert_same(fixed(["ab", "a"]), ["ab a abb b"])
    assert ids == [[2, 5, 6, 1, 1, 3]]


def test_decoding_joins_pieces_and_punctuation():
    tokenizer = fixed(["do", "n", "'", "t", "it", "##s", ".", "[x]"])
    assert tokenizer.decode([[5, 6, 7, 8, 9, 10, 11]]) == ["do n ' t its."]
    assert_same(tokenizer, ["do n't it its.", ". it s", "n ##s [x]"])
    assert_same(changed(decoder=None), TEXTS)


def test_roles_and_special_tokens():
    tokenizer = WordPieceTokenizer.train(
        ["one two"], 99, special_tokens=["[E1]"]
    )
    roles = (tokenizer.pad_id, tokenizer.start_id, tokenizer.end_id)
    assert roles == (0, 2, 3)
    assert (tokenizer.prefix_ids, tokenizer.suffix_ids) == ([2], [3])
    assert list(tokenizer.special_tokens) == [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[E1]"
    ]  # fmt: skip
    (ids,) = assert_same(tokenizer, ["one[MASK][E1] two"])
    assert 4 in ids and 5 in ids
    assert tokenizer.decode([ids]) == ["one two"]


def test_files(tmp_path):
    folder = word_piece().save(tmp_path / "a")
    names = {path.name for path in folder.iterdir()}
    assert names == {"tokenizer.json", "tokenizer_config.json", "vocab.txt"}
    wanted = word_piece().encode(TEXTS + ACCENTS)
    assert Tokenizer.load(folder).encode(TEXTS + ACCENTS) == wanted
    (folder / "tokenizer.json").unlink()
    loaded = Tokenizer.load(folder)
    assert loaded.encode(TEXTS + ACCENTS) == wanted
    assert loaded.special_tokens == word_piece().special_tokens
    (folder / "tokenizer_config.json").unlink()
    # No word about capitals: the vocabulary has none.
    assert Tokenizer.load(folder).encode(TEXTS + ACCENTS) == wanted
    assert Tokenizer.load(folder).pad_id == 0


def test_cased_vocabularies_are_known_by_their_capitals(tmp_path):
    folder = word_piece(False).save(tmp_path)
    wanted = word_piece(False).encode(TEXTS + ACCENTS)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    assert Tokenizer.load(folder).encode(TEXTS + ACCENTS) == wanted
    config = {"do_lower_case": True, "strip_accents": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    library = Tokenizer.load(folder).library
    assert library.normalizer.lowercase and not library.normalizer.strip_accents
    config = {"do_lower_case": "yes"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="true or false.*lowercase='yes'"):
        Tokenizer.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalizer": {"type": "NFKC"}}, "normalizer of type NFKC"),
        (
            {"pre_tokenizer": {"type": "Whitespace"}},
            "pre_tokenizer of type Whitespace",
        ),
        ({"pre_tokenizer": None}, "pre_tokenizer"),
        ({"decoder": {"type": "ByteLevel", "add_prefix_space": True,
                      "trim_offsets": True, "use_regex": True}},
         "decoder of type ByteLevel"),
        ({"model__unk_token": "[X]"}, r"unknown words.*unk_token='\[X\]'"),
    ],
)  # fmt: skip
def test_components_that_are_not_supported(changes, message):
    with pytest.raises(ValueError, match=message):
        changed(**changes)


def test_bad_vocabularies(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\na\n")
    with pytest.raises(ValueError, match="stands twice.*token='a'"):
        Tokenizer.load(tmp_path)
    path.write_text("[PAD]\n[UNK]\n[CLS]\na\n")
    with pytest.raises(ValueError, match=r"lacks a special.*no '\[SEP\]'"):
        Tokenizer.load(tmp_path)
    library = tokenizers.Tokenizer(
        models.WordPiece({"a": 0, "[UNK]": 2}, unk_token="[UNK]")
    )
    with pytest.raises(ValueError, match="without gaps"):
        WordPieceTokenizer(library)


def test_training_needs_text_and_room():
    with pytest.raises(ValueError, match="at least one text"):
        WordPieceTokenizer.train(["", ""], 99)
    with pytest.raises(ValueError, match="need 16 ids.*vocabulary_size=9"):
        WordPieceTokenizer.train(["abcdef"], 9)


def test_damaged_files(tmp_path):
    tokenizer = WordPieceTokenizer.train(training_texts(), 211)
    assert check_mutated_files(tokenizer, tmp_path, 200) > 50
