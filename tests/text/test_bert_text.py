"""BERT's cleaning and cutting of text, against the library, at all codes."""

import itertools
import random

import pytest
import tensorflow as tf
from tokenizers import normalizers, pre_tokenizers

from keras_bigmodel.text.bert_text import BertNormalizer, split_words

# A mark that is no accent, of the classes 9, 224, 6, and one that walls.
MARKS = "\u1b44\u302e\U00016ff0\u0301\u0903\u20dd\u0a3c"


def check(options, texts):
    ours = BertNormalizer(options)(tf.constant(texts)).numpy()
    library = normalizers.BertNormalizer(**options)
    wanted = [library.normalize_str(text) for text in texts]
    assert [text.decode() for text in ours] == wanted


@pytest.mark.parametrize("lowercase", [True, False])
def test_all_characters(lowercase):
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    # Every 7th beyond the planes where characters are.
    codes = codes[:0x30000] + codes[0x30000::7]
    texts = [
        "".join(map(chr, codes[start : start + 5000]))
        for start in range(0, len(codes), 5000)
    ]
    check({"lowercase": lowercase}, texts)


def test_marks_are_put_in_order():
    texts = ["a" + "".join(p) for p in itertools.permutations(MARKS, 4)]
    check({"lowercase": True}, texts)
    check({"lowercase": False, "strip_accents": False}, texts[::29])


def test_texts_do_not_mix():
    check({"lowercase": True}, ["a\u302e", "\u1b44b", "", "\u1b44", "\u302e"])


def test_words():
    rng = random.Random(0)
    characters = "ab1.,! \t\n\u3000\u00a0中。«\u2019$+`\u0301\U0001f600"
    texts = ["", " ", "a", ".", "a.b", " a"]
    texts += ["".join(rng.choices(characters, k=13)) for _ in range(101)]
    cut = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    wanted = [[word.encode() for word, _ in cut(text)] for text in texts]
    assert split_words(tf.constant(texts)).to_list() == wanted
    assert split_words(tf.constant([], tf.string)).to_list() == []
