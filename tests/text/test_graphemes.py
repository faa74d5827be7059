"""Clusters of characters, as far as those of five bytes need them."""

import pytest
import tensorflow as tf

from keras_bigmodel.text.graphemes import joined


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("ab", [0, 0]),
        ("a\u0301\u0308b", [0, 1, 1, 0]),
        ("\u0301a", [0, 0]),
        ("\r\n\n\r", [0, 1, 0, 0]),
        ("\t\u0301\u200b\u0301", [0, 0, 0, 0]),
        ("a\u200c\u200d\ufe0fb", [0, 1, 1, 1, 0]),
        ("\u0e01\u0e33\u0903", [0, 1, 1]),
        ("\u0600a\u0600\u0301\u0600\n", [0, 1, 0, 1, 0, 0]),
        # Hangul: L V T, L LV T, LVT T, and what does not join.
        ("\u1100\u1161\u11a8", [0, 1, 1]),
        ("\u1100\uac00\u11a8", [0, 1, 1]),
        ("\uac01\u11a8\u1161", [0, 1, 0]),
        ("\uac00\u1161\u1100", [0, 1, 0]),
        ("\u1100\u11a8\u1161", [0, 0, 0]),
        # Pictures tied by a joiner; a copyright sign is one.
        ("\u00a9\u200d\u00a9", [0, 1, 1]),
        ("\u00a9\u0301\u200d\U0001f600", [0, 1, 1, 1]),
        ("a\u200d\u00a9", [0, 1, 0]),
        ("\u00a9\u200d\u200da", [0, 1, 1, 0]),
    ],
)
def test_joined(text, wanted):
    rows = tf.strings.unicode_decode(tf.constant([text, "\u0301"]), "UTF-8")
    assert joined(rows).numpy().tolist() == [*map(bool, wanted), False]


def test_texts_stay_apart():
    texts = ["\u00a9", "\u200d\u00a9", "\u0600", "a", "\r", "\n"]
    rows = tf.strings.unicode_decode(tf.constant(texts), "UTF-8")
    assert not joined(rows).numpy().any()
