"""Precompiled normalization, against the library."""

import random

import pytest
import tensorflow as tf
from tokenizers import normalizers

from keras_bigmodel.text.charsmap import write_charsmap
from keras_bigmodel.text.precompiled import Precompiled
from tests.text.charsmaps import charsmap
from tests.text.tokenizers_for_tests import TEXTS

POOLS = [
    "aeiouçé ",
    "\u0300\u0301\u0308\u0323\u20dd",
    "\u00a9\u00ae\u203c\u2764\u200d\ufe0f\U0001f468",
    "\u0600\u06dd\u08e2\U000110bd",
    "\t\n\r\u200b\u200c\u00ad\u2028\ufeff\x01",
    "\u1100\u1161\u11a8\uac00\uac01",
    "\u0915\u094d\u0958\u0937\u093f",
    "ﬁﬀＡａ①㍿ｶﾞｶ\uff9e",
    "\U0001f1e8\U0001f1f3",
]


def random_texts(count, seed):
    rng = random.Random(seed)
    return [
        "".join(rng.choice(rng.choice(POOLS)) for _ in range(rng.randrange(13)))
        for _ in range(count)
    ]


def odd_pairs(seed):
    """A map with pairs no real one has."""
    rng = random.Random(seed)
    keys = [
        rng.choice("abcé©字\r\u0600\t")
        + "".join(rng.choices("\u0301\u0302\u20dd\u200da", k=rng.randrange(3)))
        for _ in range(97)
    ]
    return {
        key: rng.choice(["", "x", "yz", "字", key[0]])
        for key in keys
        if len(key.encode()) < 6
    }


@pytest.mark.parametrize(
    "content",
    [
        charsmap(),
        write_charsmap(odd_pairs(0)),
        write_charsmap({"a": "a", "e": "\u0301"}),
        write_charsmap({}),
    ],
    ids=["usual", "odd", "same", "empty"],
)
def test_both_do_the_same(content):
    texts = random_texts(3000, 1) + TEXTS
    library = normalizers.Precompiled(content)
    wanted = [library.normalize_str(text) for text in texts]
    ours = Precompiled(content)(tf.constant(texts)).numpy()
    assert [text.decode() for text in ours] == wanted
    assert Precompiled(content)(tf.constant([], tf.string)).shape == (0,)


def test_what_follows_a_known_beginning_is_lost():
    normalize = Precompiled(write_charsmap({"ﬁ": "fi", "a\u0301": "á"}))
    texts = ["ﬁ\u0301x", "a\u0301\u0302x", "a\u0302\u0301", "ﬁ\u0301\u0302"]
    found = [text.decode() for text in normalize(tf.constant(texts)).numpy()]
    # The last is of seven bytes: its characters are looked up one by one.
    assert found == ["fix", "áx", "a\u0302\u0301", "fi\u0301\u0302"]


def test_damage_is_refused():
    with pytest.raises(ValueError, match="character map is damaged"):
        Precompiled(b"abc")
