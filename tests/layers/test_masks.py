"""Masks: True is visible."""

import numpy as np
import pytest
from keras import ops

from keras_bigmodel.layers import masks
from tests.layer_case import to_numpy

POSITIONS = np.arange(5, dtype="int32")[None]
DISTANCE = np.arange(5)[:, None] - np.arange(5)


def test_causal_by_positions_not_by_index():
    query, key = np.array([[3, 7]], "int32"), np.array([[0, 7, 3]], "int32")
    mask = masks.causal_mask(query, key)
    assert mask.shape == (1, 1, 2, 3)
    assert to_numpy(mask)[0, 0].tolist() == [
        [True, False, True],
        [True, True, True],
    ]


def test_no_key_is_later_than_any_query():
    key = np.array([[masks.NO_KEY]], "int32")
    assert not to_numpy(masks.causal_mask(POSITIONS, key)).any()


@pytest.mark.parametrize("window", [1, 2, 9])
def test_sliding_window(window):
    mask = masks.sliding_window_mask(POSITIONS, POSITIONS, window)
    np.testing.assert_array_equal(to_numpy(mask)[0, 0], DISTANCE < window)
    mask = masks.sliding_window_mask(POSITIONS, POSITIONS, window, causal=False)
    np.testing.assert_array_equal(
        to_numpy(mask)[0, 0], np.abs(DISTANCE) < window
    )


def test_segments_see_their_own():
    segments = np.array([[1, 1, 2], [4, 3, 3]], "int32")
    mask = to_numpy(masks.segment_mask(segments))
    assert mask.shape == (2, 1, 3, 3)
    assert mask[1, 0].tolist() == [
        [True, False, False],
        [False, True, True],
        [False, True, True],
    ]
    keys = np.array([[2], [3]], "int32")
    across = to_numpy(masks.segment_mask(segments, keys))
    assert across[:, 0, :, 0].tolist() == [
        [False, False, True],
        [False, True, True],
    ]


def test_positions_start_again_with_each_segment():
    segments = np.array([[7, 7, 7, 1, 1, 7, 2], [0, 0, 0, 0, 0, 0, 0]], "int32")
    positions = masks.segment_positions(segments)
    assert to_numpy(positions).tolist() == [
        [0, 1, 2, 0, 1, 0, 0],
        [0, 1, 2, 3, 4, 5, 6],
    ]
    assert masks.segment_positions(segments[:, :1]).shape == (2, 1)


def test_all_masks_apply_together():
    padding = np.array([[True, True, True, True, False]])
    segments = np.array([[1, 1, 2, 2, 2]], "int32")
    pairs = np.random.default_rng(0).random((1, 1, 5, 5)) < 0.8
    visibility = masks.Visibility(
        POSITIONS,
        POSITIONS,
        causal=True,
        window=2,
        padding_mask=padding,
        query_segments=segments,
        key_segments=segments,
        attention_mask=pairs,
    )
    expected = (DISTANCE >= 0) & (DISTANCE < 2) & padding[:, None]
    expected &= segments[:, :, None] == segments[:, None]
    np.testing.assert_array_equal(
        to_numpy(visibility.mask())[:, 0], expected & pairs[:, 0]
    )
    assert visibility.may_hide_everything
    later_too = (np.abs(DISTANCE) < 2) & padding[:, None]
    window = masks.Visibility(
        POSITIONS, POSITIONS, window=2, padding_mask=padding
    )
    np.testing.assert_array_equal(to_numpy(window.mask())[:, 0], later_too)


def test_nothing_hidden_is_no_mask():
    visibility = masks.Visibility(POSITIONS, POSITIONS, causal=True)
    assert visibility.mask(without_causal=True) is None
    assert visibility.mask() is not None
    assert not visibility.may_hide_everything
    assert masks.combine_masks(None, None) is None


def test_integers_are_masks_too():
    mask = masks.check_mask(ops.convert_to_tensor([[2, 0]]), "m", rank=2)
    assert to_numpy(mask).tolist() == [[True, False]]


def test_mask_of_wrong_rank_or_dtype():
    with pytest.raises(ValueError, match=r"rank 2.*padding_mask.shape=\(3,\)"):
        masks.combined_padding(np.ones(3, "bool"), None)
    with pytest.raises(ValueError, match=r"boolean.*dtype=float32"):
        masks.combined_padding(np.ones((2, 3), "float32"), None)
    with pytest.raises(ValueError, match=r"attention_mask.shape=\(2, 3\)"):
        masks.attention_mask_to_scores(np.ones((2, 3), "bool"))
