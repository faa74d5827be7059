import numpy as np
import pytest
from keras import ops

from keras_bigmodel.generation import thresholds


@pytest.fixture
def probabilities():
    p = np.random.default_rng(3).dirichlet(np.full(101, 0.2), 4)
    return p.astype("float32")


def test_top_k_is_the_kth_largest(probabilities):
    k = np.array([1, 7, 100, 101], "int32")
    made = thresholds.top_k_threshold(ops.convert_to_tensor(probabilities), k)
    ordered = -np.sort(-probabilities, axis=1)
    expected = ordered[np.arange(4), k - 1]
    np.testing.assert_array_equal(ops.convert_to_numpy(made)[:, 0], expected)


def test_top_p_is_the_last_of_the_nucleus(probabilities):
    p = np.array([0.1, 0.5, 0.9, 0.999], "float32")
    made = thresholds.top_p_threshold(ops.convert_to_tensor(probabilities), p)
    ordered = -np.sort(-probabilities, axis=1)
    mass = np.cumsum(ordered.astype("float64"), axis=1)
    last = (mass < p[:, None]).sum(axis=1)
    expected = ordered[np.arange(4), last]
    np.testing.assert_array_equal(ops.convert_to_numpy(made)[:, 0], expected)


def test_off_keeps_everything(probabilities):
    p = ops.convert_to_tensor(probabilities)
    made = thresholds.top_p_threshold(p, np.ones(4, "float32"))
    assert (ops.convert_to_numpy(made) == 0).all()
    made = thresholds.top_k_threshold(p, np.array([0, 102, 500, 0], "int32"))
    assert (ops.convert_to_numpy(made) == 0).all()
