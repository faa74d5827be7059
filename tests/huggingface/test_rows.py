"""The expansion of a family's table."""

import pytest

from keras_bigmodel.huggingface.rows import (
    Row,
    expand,
    linear,
    normalization,
)
from keras_bigmodel.huggingface.transforms import STACKED, TRANSPOSED

ROWS = [
    Row("embed", "embedding"),
    *linear("h.{i}.up", "block_{i}/up", TRANSPOSED),
    Row("h.{i}.experts.{e}.w", "block_{i}/experts", STACKED),
]


def test_blocks_are_counted_and_what_is_not_there_is_left_out():
    paths = {
        "embedding": (5, 3),
        "block_0/up/kernel": (3, 7),
        "block_1/up/kernel": (3, 7),
        "block_1/up/bias": (7,),
    }
    assert [row.theirs for row in expand(ROWS, paths, 2)] == [
        ("embed",),
        ("h.0.up.weight",),
        ("h.1.up.weight",),
        ("h.1.up.bias",),
    ]


def test_experts_are_counted_by_the_shape():
    (row,) = expand(ROWS, {"block_0/experts": (3, 5, 7)}, 1)
    assert row.theirs == tuple(f"h.0.experts.{e}.w" for e in range(3))


def test_weights_that_no_row_names():
    with pytest.raises(ValueError, match=r"weights=\['other'\]"):
        expand(ROWS, {"embedding": (5, 3), "other": (2,)}, 1)


def test_weights_that_two_rows_name():
    rows = [Row("a", "embedding"), Row("b", "embedding")]
    with pytest.raises(ValueError, match=r"weights=\['embedding'\]"):
        expand(rows, {"embedding": (5, 3)}, 1)


def test_normalizations_of_both_kinds():
    rows = normalization("n", "norm")
    layer = expand(rows, {"norm/gamma": (3,), "norm/beta": (3,)}, 1)
    assert [row.theirs for row in layer] == [("n.weight",), ("n.bias",)]
    (rms,) = expand(rows, {"norm/scale": (3,)}, 1)
    assert rms.theirs == ("n.weight",)
