import keras
import numpy as np
import pytest

from keras_bigmodel.layers import DecodingScope, key_value_cache
from keras_bigmodel.layers.masks import NO_KEY, Visibility
from tests.layer_case import to_numpy


def step(scope, start, length, window=None):
    """Appends tokens whose keys are their positions, values the negatives."""
    places = np.arange(start, start + length, dtype="float32")
    key = np.broadcast_to(places[None, None, :, None], (2, 3, length, 1))
    with scope:
        positions = scope.positions(2, length)
        visibility = Visibility(
            positions, positions, causal=True, window=window
        )
        return key_value_cache.append(
            scope, "layer", key.copy(), -key, visibility
        )


def test_slots_are_positions():
    scope = DecodingScope(max_length=6)
    step(scope, 0, 2)
    key, value, visibility = step(scope, 2, 3)
    assert to_numpy(key)[1, 2, :, 0].tolist() == [0, 1, 2, 3, 4, 0]
    np.testing.assert_array_equal(to_numpy(value), -to_numpy(key))
    assert to_numpy(visibility.key_positions).tolist() == [[0, 1, 2, 3, 4, 5]]
    mask = to_numpy(visibility.mask())[0, 0]
    assert mask[0].tolist() == [True] * 3 + [False] * 3


def test_a_window_needs_no_more_slots_than_it_is_long():
    scope = DecodingScope(max_length=100)
    step(scope, 0, 2, window=4)
    for start, length in ((2, 1), (3, 5), (8, 1), (9, 2), (11, 1)):
        key, _, visibility = step(scope, start, length, window=4)
        positions = to_numpy(visibility.key_positions)[0]
        seen = positions != NO_KEY
        np.testing.assert_array_equal(
            to_numpy(key)[1, 0, seen, 0], positions[seen]
        )
        mask = to_numpy(visibility.mask())[0, 0]
        for row, place in enumerate(range(start, start + length)):
            expected = set(range(max(0, place - 3), place + 1))
            assert set(positions[mask[row]]) == expected
        assert scope.state["layer/key_window"].shape == (2, 3, 4, 1)


@pytest.mark.tensorflow
def test_caches_grow_but_those_of_windows_and_contexts():
    ones = np.ones((2, 3, 4, 1), "float32")
    state = {"a/key": ones, "a/value": ones, "lengths": np.ones(2, "int32")}
    # Of other heads, features and numbers.
    others = np.ones((2, 1, 4, 5), "float16")
    state.update({"d/key": others, "d/value": others})
    fixed = {"b/key_window": ones, "c/value_context": ones}
    found = key_value_cache.grown({**state, **fixed}, 7)
    for name in ("a/key", "a/value", "d/key", "d/value"):
        before, grown = state[name], found.pop(name)
        assert keras.backend.standardize_dtype(grown.dtype) == before.dtype
        grown = to_numpy(grown)
        np.testing.assert_array_equal(grown[:, :, :4], before)
        assert grown.shape == (*before.shape[:2], 7, before.shape[3])
        assert not grown[:, :, 4:].any()
    assert set(found) == {"lengths", *fixed}
    assert all(found[name] is ones for name in fixed)
    same = key_value_cache.grown(state, 4)
    np.testing.assert_array_equal(to_numpy(same["a/key"]), ones)
    assert key_value_cache.grown(fixed, 9) is fixed


def test_what_is_recalled_is_computed_once():
    scope, calls = DecodingScope(max_length=5), []

    def compute():
        calls.append(1)
        shape = (2, 3, 4, 1)
        return np.ones(shape, "float32"), np.zeros(shape, "float32")

    for _ in range(3):
        with scope:
            scope.positions(2, 1)
            key, value = key_value_cache.recall(scope, "layer", 2, compute)
        assert to_numpy(key).all() and not to_numpy(value).any()
    assert len(calls) == 1


def test_another_batch_is_refused():
    scope = DecodingScope(max_length=5)

    def compute():
        return [np.ones((2, 3, 4, 1), "float32")] * 2

    for batch in (2, 3):
        with scope:
            scope.positions(2, 1)
            if batch == 2:
                key_value_cache.recall(scope, "layer", batch, compute)
                continue
            with pytest.raises(ValueError, match="batch of 2 rows.*with 3"):
                key_value_cache.recall(scope, "layer", batch, compute)
            key_value_cache.recall(scope, "layer", 2, compute)


@pytest.mark.parametrize("length", [1, 4])
def test_heads_come_first(length):
    x = np.arange(2 * length * 3 * 5).reshape(2, length, 3, 5)
    found = to_numpy(key_value_cache.heads_first(x))
    np.testing.assert_array_equal(found, x.transpose(0, 2, 1, 3))
