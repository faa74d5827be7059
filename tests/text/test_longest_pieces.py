"""Words cut into the longest pieces, against a plain loop."""

import random

import tensorflow as tf

from keras_bigmodel.text.longest_pieces import LongestPieces


def reference(word, vocabulary, longest_word):
    ids, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        ends = range(len(word), start, -1)
        found = [e for e in ends if prefix + word[start:e] in vocabulary]
        if not found or len(word) > longest_word:
            return [0]
        ids.append(vocabulary[prefix + word[start : found[0]]])
        start = found[0]
    return ids


def test_the_longest_pieces_are_taken():
    rng = random.Random(0)
    pieces = {
        rng.choice(["", "##"])
        + "".join(rng.choices("abc", k=rng.randrange(1, 5)))
        for _ in range(53)
    }
    vocabulary = {
        piece: i for i, piece in enumerate(["[UNK]", *sorted(pieces)])
    }
    words = [
        "".join(
            rng.choices("abcd", weights=[5, 5, 5, 1], k=rng.randrange(1, 19))
        )
        for _ in range(307)
    ]
    pieces_of = LongestPieces(vocabulary, "##", 0, 17)
    cut = tf.function(pieces_of, autograph=False)
    wanted = [reference(word, vocabulary, 17) for word in words]
    assert cut(tf.constant(words)).to_list() == wanted
    assert max(map(len, wanted)) > 4
    assert cut(tf.constant([], tf.string)).to_list() == []


def test_the_mark_of_inner_pieces_may_be_empty():
    cut = LongestPieces({"[UNK]": 0, "a": 1, "bc": 2}, "", 0, 17)
    assert cut(tf.constant(["abca", "b"])).to_list() == [[1, 2, 1], [0]]
