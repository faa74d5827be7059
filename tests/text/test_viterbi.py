"""The likeliest cut, against one found by trying all in plain Python."""

import math
import random

import pytest
import tensorflow as tf

from keras_bigmodel.text.viterbi import (
    LONGEST_PIECE,
    UNKNOWN_PENALTY,
    LikeliestPieces,
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


@pytest.mark.parametrize("seed", range(2))
def test_it_is_the_best(seed):
    rng = random.Random(seed)
    pieces = ["<unk>", *{
        "".join(rng.choices("abc", k=rng.randrange(1, 7))) for _ in range(37)
    }]  # fmt: skip
    # Few distinct scores, so that many sums are equal but for rounding.
    scores = [0.0, *rng.choices([-0.1, -0.3, -0.7, -3.3], k=len(pieces) - 1)]
    words = ["".join(rng.choices("abcd", k=rng.randrange(41)))
             for _ in range(67)]  # fmt: skip
    words += ["", "d", "dd", "a" * 83]
    ids = {piece: i for i, piece in enumerate(pieces)}
    cut = LikeliestPieces(pieces, scores, 0)
    found, first = tf.function(cut)(tf.strings.unicode_decode(words, "UTF-8"))
    unknown_score = min(scores) - UNKNOWN_PENALTY
    for word, row, codes in zip(
        words, found.to_list(), first.to_list(), strict=True
    ):
        wanted = reference(word, scores, 0, unknown_score, ids)
        assert list(zip(row, codes, strict=True)) == wanted


def test_no_words():
    cut = LikeliestPieces(["<unk>", "a"], [0.0, -1.0], 0)
    rows = tf.strings.unicode_decode(tf.constant([], tf.string), "UTF-8")
    assert cut(rows)[0].to_list() == []
    rows = tf.strings.unicode_decode(tf.constant([""]), "UTF-8")
    assert cut(rows)[0].to_list() == [[]]


def test_long_pieces_are_refused():
    with pytest.raises(ValueError, match="256 characters.*a piece of 257"):
        LikeliestPieces(["<unk>", "a" * (LONGEST_PIECE + 1)], [0.0, 0.0], 0)
