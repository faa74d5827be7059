"""Which queries and keys a block holds."""

import numpy as np
import pytest
from keras import ops

from keras_bigmodel.layers.attention_blocks import AttentionBlocks
from keras_bigmodel.layers.masks import Visibility
from tests.layer_case import to_numpy

POSITIONS = np.arange(11, dtype="int32")[None]


def blocks(size=3, **options):
    """Returns blocks over 11 queries and keys of 2 key heads."""
    flags = {name: options.pop(name, False) for name in ("aligned", "in_order")}
    visibility = Visibility(POSITIONS, POSITIONS, **options)
    return AttentionBlocks(
        visibility,
        lambda query_positions, key_positions: None,
        size=size,
        num_groups=2,
        num_queries=11,
        num_keys=11,
        **flags,
    )


def test_spans():
    assert blocks().spans == [11]
    assert blocks(causal=True, window=4, aligned=True).spans == [6]
    assert blocks(causal=True, window=4).spans == [11]
    assert blocks(window=4, aligned=True).spans == [11]
    ordered = blocks(size=1, causal=True, aligned=True, in_order=True)
    assert ordered.spans == [3, 6, 9, 11]
    assert [ordered.span_of(index) for index in range(11)] == [
        *(0, 0, 0),
        *(1, 1, 1),
        *(2, 2, 2),
        *(3, 3),
    ]
    few = blocks(size=6, causal=True, aligned=True, in_order=True)
    assert few.spans == [6, 11]


@pytest.mark.parametrize("size", [1, 3, 11, 16])
def test_split_and_join(size):
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 11, 5))
    x = ops.convert_to_tensor(x.astype("float32"))
    cut = blocks(size)
    parts = cut.split(x)
    assert parts.shape == (-(-11 // size), 2, 2, 3, size, 5)
    np.testing.assert_array_equal(
        to_numpy(parts[0])[:, :, :, : min(size, 11)],
        to_numpy(x)[:, :, :, :size],
    )
    np.testing.assert_array_equal(to_numpy(cut.join(parts)), to_numpy(x))


def test_keys_around_a_window():
    keys = np.arange(11, dtype="float32").reshape(1, 1, 11, 1)
    cut = blocks(causal=True, window=3, aligned=True)
    padded = cut.pad_keys(ops.convert_to_tensor(keys), fill=-1)
    seen = [
        to_numpy(cut.keys_of(padded, index, 5)).ravel().tolist()
        for index in (0, 1, 3)
    ]
    assert seen == [[-1, -1, 0, 1, 2], [1, 2, 3, 4, 5], [7, 8, 9, 10, -1]]
    np.testing.assert_array_equal(to_numpy(cut.unpad_keys(padded)), keys)
    total = cut.add_to_keys(ops.zeros_like(padded), 1, ops.ones((1, 1, 5, 1)))
    assert to_numpy(cut.unpad_keys(total)).ravel().tolist() == [
        *(0, 1, 1, 1, 1, 1),
        *(0, 0, 0, 0, 0),
    ]


@pytest.mark.parametrize("window", [None, 3])
def test_masks_of_blocks_make_up_the_whole(window):
    cut = blocks(causal=True, window=window, aligned=True)
    whole = np.zeros((12, 2 + 11 + 1), "bool")
    for index in range(cut.count):
        mask, bias = cut.mask_and_bias(index, cut.spans[0])
        assert bias is None
        part = to_numpy(mask)[0, 0, 0]
        start = 2 if window is None else 3 * index
        whole[3 * index : 3 * index + 3, start : start + part.shape[1]] = part
    distance = np.arange(11)[:, None] - np.arange(11)
    expected = (distance >= 0) & (distance < (window or 11))
    np.testing.assert_array_equal(whole[:11, 2:13], expected)
    assert not whole[:, :2].any()
