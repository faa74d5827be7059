"""Words found in sequences, against a plain search."""

import random

import tensorflow as tf

from keras_bigmodel.text.trie import END, NOTHING, Trie


def make(seed=0):
    rng = random.Random(seed)
    words = {
        "".join(rng.choices("abc", k=rng.randrange(1, 6))) for _ in range(41)
    }
    words = sorted(words)
    return words, Trie(
        [[ord(c) for c in word] for word in words],
        list(range(100, 100 + len(words))),
    )


def symbols(texts):
    return tf.constant(
        [symbol for text in texts for symbol in [*map(ord, text), END]]
    )


def test_nodes():
    trie = Trie([[1, 2], [1, 3]], [7, 8])
    assert trie.longest == 2
    assert trie.node([9]) == NOTHING and trie.node([]) == 0
    nodes = tf.constant([trie.node([1]), trie.node([1, 3]), NOTHING])
    found = trie.step(nodes, tf.constant([2, 2, 2])).numpy().tolist()
    assert found == [trie.node([1, 2]), NOTHING, NOTHING]
    assert trie.value(tf.constant(found[:1])).numpy() == 7


def test_all_and_longest_matches():
    words, trie = make()
    texts = ["abcabcaab", "", "cccccccc", "x", "bacbacbabbca"]
    flat = "".join(text + "\0" for text in texts)
    found = trie.all_matches(symbols(texts)).numpy()
    zeros = tf.zeros([len(flat)], tf.int32)
    values, lengths = trie.longest_matches(symbols(texts), zeros)
    for place in range(len(flat)):
        matches = {
            len(word): 100 + i
            for i, word in enumerate(words)
            if flat.startswith(word, place)
        }
        for length in range(1, 6):
            wanted = matches.get(length, NOTHING)
            if length <= len(found):
                assert found[length - 1, place] == wanted
        longest = max(matches, default=0)
        assert lengths[place] == longest
        assert values[place] == matches.get(longest, NOTHING)


def test_nothing_to_search():
    _, trie = make()
    nothing = tf.zeros([0], tf.int32)
    assert trie.all_matches(nothing).shape == (1, 0)
    assert [part.shape for part in trie.longest_matches(nothing, nothing)] == [
        (0,),
        (0,),
    ]
    empty = Trie([], [])
    assert empty.longest == 0
    assert (empty.all_matches(symbols(["ab"])).numpy() == NOTHING).all()
