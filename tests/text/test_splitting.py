import random

import numpy as np
import pytest
import tensorflow as tf
from tokenizers import Regex, pre_tokenizers

from keras_bigmodel.text.splitting import (
    BLANK,
    LETTER,
    NEWLINE,
    NUMBER,
    OTHER,
    PATTERNS,
    character_classes,
    split_words,
)
from tests.text.tokenizers_for_tests import TEXTS

ALPHABET = [
    *"abSstTrelvmd'' \n\r\t\u00a012!é中²\u2028\u0301ſ",
    "  ",
    "\U0001f600",
]


def random_texts(num):
    rng = random.Random(1)
    return [
        "".join(rng.choices(ALPHABET, k=rng.randrange(23))) for _ in range(num)
    ]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_words_are_those_of_the_pattern(pattern):
    texts = [*TEXTS, *random_texts(3001)]
    split = tf.function(split_words)
    words = split(tf.constant(texts), PATTERNS[pattern]).to_list()
    reference = pre_tokenizers.Split(Regex(pattern), "isolated")
    for text, found in zip(texts, words, strict=True):
        expected = [word for word, _ in reference.pre_tokenize_str(text)]
        assert [word.decode() for word in found] == expected, repr(text)
        assert b"".join(found).decode() == text


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_text_has_no_words(texts):
    for rules in PATTERNS.values():
        words = split_words(tf.constant(texts, tf.string), rules)
        assert words.to_list() == [[] for _ in texts]


def test_classes_are_the_librarys():
    classes = character_classes()
    assert classes.shape == (0x110000,)
    expected = {
        "a": LETTER,
        "中": LETTER,
        "5": NUMBER,
        "²": NUMBER,
        " ": BLANK,
        "\u2028": BLANK,
        "\n": NEWLINE,
        "!": OTHER,
        "\u0301": OTHER,
        "\ue000": OTHER,
    }
    found = {c: int(classes[ord(c)]) for c in expected}
    assert found == expected
    assert np.count_nonzero(classes == LETTER) > 130_000
