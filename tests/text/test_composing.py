import random
import unicodedata

import pytest
import tensorflow as tf
from tokenizers import normalizers

from keras_bigmodel.text.composing import compose
from tests.text.tokenizers_for_tests import TEXTS


def random_texts(num):
    rng = random.Random(5)
    codes = [*range(0xD800), *range(0xE000, 0x32000)]
    marks = [c for c in codes if unicodedata.combining(chr(c))]
    made = [c for c in codes if unicodedata.decomposition(chr(c))]
    hangul = [*range(0x1100, 0x1200), *range(0xAC00, 0xAD00)]
    # Starters that join the starter before them.
    pairs = [ord(c) for c in "\u09c7\u09be\u0b47\u0b3e\u0cc6\u0cc2\u0cd5"]
    letters = [ord(c) for c in "aeiouAEOUcnsy"]
    sources = [marks, marks, made, hangul, pairs, letters, codes]
    return [
        "".join(
            chr(rng.choice(rng.choice(sources)))
            for _ in range(rng.randrange(23))
        )
        for _ in range(num)
    ]


def test_form_c_is_the_librarys():
    texts = [*TEXTS, *random_texts(5003)]
    reference = normalizers.NFC()
    composed = tf.function(compose)(tf.constant(texts)).numpy()
    for text, found in zip(texts, composed, strict=True):
        assert found.decode() == reference.normalize_str(text), ascii(text)


@pytest.mark.parametrize("texts", [[], ["", ""], ["abc"], ["\u0301\u0302"]])
def test_small_texts(texts):
    found = compose(tf.constant(texts, tf.string)).numpy().tolist()
    assert [text.decode() for text in found] == texts


def test_marks_are_sorted_and_joined_over_several_rounds():
    # A dot below and a circumflex, in the wrong order; Hangul's three parts.
    texts = tf.constant(["o\u0302\u0323", "\u1100\u1161\u11a8", "\u212b"])
    found = [text.decode() for text in compose(texts).numpy()]
    assert found == ["\u1ed9", "\uac01", "\u00c5"]
