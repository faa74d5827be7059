import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.text.merging import PairMerger


def one_by_one(word, ranks, merged):
    """Merges the leftmost pair of the lowest rank until none is left."""
    word = list(word)
    while True:
        known = [
            (ranks[pair], i)
            for i, pair in enumerate(zip(word, word[1:], strict=False))
            if pair in ranks
        ]
        if not known:
            return word
        rank, i = min(known)
        word[i : i + 2] = [merged[rank]]


def random_merges(rng, num_first, num_merges, ordered):
    """Merges of random pairs; later ones use what earlier ones made."""
    lengths = [1] * num_first
    pairs, merged = [], []
    while len(pairs) < num_merges:
        pair = tuple(rng.integers(0, len(lengths), 2).tolist())
        if pair in pairs or lengths[pair[0]] + lengths[pair[1]] > 13:
            continue
        pairs.append(pair)
        merged.append(len(lengths))
        lengths.append(lengths[pair[0]] + lengths[pair[1]])
    if not ordered:
        order = rng.permutation(num_merges)
        pairs = [pairs[i] for i in order]
        merged = [merged[i] for i in order]
    return pairs, merged, lengths


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_many_at_a_time_gives_what_one_by_one_gives(seed, ordered):
    rng = np.random.default_rng(seed)
    num_first = [2, 5, 11][seed]
    pairs, merged, lengths = random_merges(rng, num_first, 31, ordered)
    left, right = zip(*pairs, strict=True)
    merger = tf.function(PairMerger(left, right, merged, lengths))
    words = [
        rng.integers(0, num_first, size).tolist()
        for size in [0, 1, 2, 3, 5, 7, 0, 11, 101] * 5
    ]
    words += [[i % k for i in range(53)] for k in range(1, num_first + 1)]
    ranks = {pair: rank for rank, pair in enumerate(pairs)}
    flat = tf.constant([i for word in words for i in word], tf.int32)
    sizes = tf.constant([len(word) for word in words], tf.int64)
    expected = [one_by_one(word, ranks, merged) for word in words]
    assert merger(flat, sizes).to_list() == expected


def test_no_words_and_no_merges():
    merger = PairMerger([], [], [], [1, 1])
    none = tf.constant([], tf.int32)
    assert merger(none, tf.constant([], tf.int64)).to_list() == []
    assert merger(none, tf.constant([0, 0], tf.int64)).to_list() == [[], []]
    ids = merger(tf.constant([0, 1, 1]), tf.constant([1, 2], tf.int64))
    assert ids.to_list() == [[0], [1, 1]]


def test_rounds_hardly_grow_with_the_word():
    # Two letters that always merge, however many of them.
    merger = PairMerger([0, 2], [1, 2], [2, 3], [1, 1, 2, 4])
    word = tf.constant([0, 1] * 20_000)
    ids = merger(word, tf.constant([40_000], tf.int64))
    assert ids.to_list() == [[3] * 10_000]
