"""The likeliest cut, against one found by trying all in plain Python."""

import math
import random

import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.text.trie import END
from keras_bigmodel.text.viterbi import (
    LONGEST_PIECE,
    UNKNOWN_PENALTY,
    LikeliestPieces,
    _exact_length,
    _parts,
)


def reference(word, scores, unknown_id, unknown_score, ids):
    """Ids and first characters of the best cut, ties as in the library."""
    best = [(0.0, None, None)] + [(-math.inf, None, None)] * len(word)
    for start in range(len(word)):
        single = False
        for end in range(start + 1, len(word) + 1):
            piece = word[start:end]
            if piece in ids:
                total = best[start][0] + scores[ids[piece]]
                single |= end == start + 1
                if total > best[end][0]:
                    best[end] = (total, start, ids[piece])
        total = best[start][0] + unknown_score
        if not single and total > best[start + 1][0]:
            best[start + 1] = (total, start, unknown_id)
    found, end = [], len(word)
    while end:
        _, start, piece = best[end]
        found.insert(0, (piece, ord(word[start])))
        end = start
    return found


@pytest.mark.parametrize(
    ("some_scores", "is_exact"),
    [
        # Few distinct ones, so that many sums are equal, but for rounding.
        ((-0.1, -0.3, -0.7, -3.3), False),
        # Sums are exact, so words are cut beforehand.
        ((-0.125, -0.25, -0.75, -3.25), True),
        (tuple(np.float32([-0.1, -0.3, -0.7, -3.3]).tolist()), True),
    ],
)
def test_it_is_the_best(some_scores, is_exact):
    rng = random.Random(0)
    pieces = ["<unk>", *{
        "".join(rng.choices("abc", k=rng.randrange(1, 7))) for _ in range(37)
    }]  # fmt: skip
    scores = [0.0, *rng.choices(some_scores, k=len(pieces) - 1)]
    words = ["".join(rng.choices("abcd", k=rng.randrange(41)))
             for _ in range(67)]  # fmt: skip
    words += ["", "d", "dd", "a" * 83]
    ids = {piece: i for i, piece in enumerate(pieces)}
    cut = LikeliestPieces(pieces, scores, 0)
    assert (_exact_length(np.array(scores)) > 10_000) is is_exact
    found, first = tf.function(cut, autograph=False)(
        tf.strings.unicode_decode(words, "UTF-8")
    )
    unknown_score = min(scores) - UNKNOWN_PENALTY
    for word, row, codes in zip(
        words, found.to_list(), first.to_list(), strict=True
    ):
        wanted = reference(word, scores, 0, unknown_score, ids)
        assert list(zip(row, codes, strict=True)) == wanted


def test_words_are_cut_where_no_piece_crosses():
    symbols = tf.constant([1, 2, 3, 4, END, END, 5, 6, END])
    ids = np.full([3, 9], -1)
    ids[1, 0] = 7  # from 0 to 1
    ids[2, 1] = 8  # from 1 to 3, so all of the first word hangs together
    ids[0, 6] = 9
    starts, sizes = _parts(tf.constant(ids, tf.int32), symbols)
    assert starts.numpy().tolist() == [0, 6, 7]
    assert sizes.numpy().tolist() == [4, 1, 1]


def test_how_many_scores_add_up_exactly():
    assert _exact_length(np.array([-1.0, -4.0])) == 2**31 - 1
    assert _exact_length(np.array([-(2.0**-30), -1.0])) == 2**23
    assert _exact_length(np.array([-0.1, -1e9])) < 100
    assert _exact_length(np.array([1e-300])) == 0


def test_no_words():
    cut = LikeliestPieces(["<unk>", "a"], [0.0, -1.0], 0)
    rows = tf.strings.unicode_decode(tf.constant([], tf.string), "UTF-8")
    assert cut(rows)[0].to_list() == []
    rows = tf.strings.unicode_decode(tf.constant([""]), "UTF-8")
    assert cut(rows)[0].to_list() == [[]]


def test_long_pieces_are_refused():
    with pytest.raises(ValueError, match="256 characters.*a piece of 257"):
        LikeliestPieces(["<unk>", "a" * (LONGEST_PIECE + 1)], [0.0, 0.0], 0)
