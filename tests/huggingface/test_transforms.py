"""The transforms between checkpoints and weights, and their inverses."""

import numpy as np
import pytest

from keras_bigmodel.huggingface import transforms

RANDOM = np.random.default_rng(0)


def array(*shape):
    return RANDOM.normal(size=shape).astype("float32")


HEADS, WIDTH, INPUTS = 3, 5, 7
CASES = {
    "same": (transforms.SAME, [array(2, 3)]),
    "transposed": (transforms.TRANSPOSED, [array(2, 3)]),
    "joined": (
        transforms.JOINED,
        [array(INPUTS, 11), array(INPUTS, 2), array(INPUTS, 5)],
    ),
    "joined biases": (transforms.JOINED, [array(11), array(2), array(5)]),
    "joined transposed": (
        transforms.JOINED_TRANSPOSED,
        [array(INPUTS, 11), array(INPUTS, 2)],
    ),
    "by head": (
        transforms.JoinedByHead(HEADS),
        [array(INPUTS, HEADS * WIDTH) for _ in range(3)],
    ),
    "biases by head": (
        transforms.JoinedByHead(HEADS),
        [array(HEADS * WIDTH) for _ in range(3)],
    ),
    "plus one": (transforms.PLUS_ONE, [array(5)]),
    "matrix": (transforms.BY_HEAD, [array(HEADS, WIDTH)]),
    "in one batch": (transforms.IN_ONE_BATCH, [array(3, 5)]),
    "scaled": (transforms.Scaled(0.25), [array(5)]),
    "filters": (transforms.FILTERS, [array(2, 3, 5, 7)]),
    "stacked": (transforms.STACKED, [array(3, 5, 7)]),
}


@pytest.mark.parametrize("name", CASES)
def test_there_and_back(name):
    transform, ours = CASES[name]
    shapes = [value.shape for value in ours]
    theirs = transform.to_theirs(ours)
    assert [v.shape for v in theirs] == transform.their_shapes(shapes)
    again = transform.to_ours(theirs, shapes)
    assert [value.shape for value in again] == shapes
    for before, after in zip(ours, again, strict=True):
        np.testing.assert_allclose(after, before, atol=2e-7)


def test_joined_by_head_is_one_head_after_the_other():
    query, key, value = CASES["by head"][1]
    (whole,) = transforms.JoinedByHead(HEADS).to_theirs([query, key, value])
    for head in range(HEADS):
        rows = whole[3 * WIDTH * head : 3 * WIDTH * (head + 1)]
        columns = slice(WIDTH * head, WIDTH * (head + 1))
        expected = [part[:, columns].T for part in (query, key, value)]
        np.testing.assert_array_equal(rows, np.concatenate(expected))


def test_stacked_has_a_tensor_for_each_expert():
    kernel = array(3, 5, 7)
    theirs = transforms.STACKED.to_theirs([kernel])
    assert len(theirs) == 3
    np.testing.assert_array_equal(theirs[1], kernel[1].T)


def test_summed():
    table, row = array(3, 5), array(1, 5)
    shapes = transforms.SUMMED.their_shapes([table.shape])
    assert shapes == [(3, 5), (1, 5)]
    (ours,) = transforms.SUMMED.to_ours([table, row], [table.shape])
    np.testing.assert_array_equal(ours, table + row)
    again = transforms.SUMMED.to_theirs([ours])
    np.testing.assert_array_equal(again[0], ours)
    np.testing.assert_array_equal(again[1], np.zeros((1, 5)))
