"""One vector of a sequence."""

import numpy as np
import pytest

from keras_bigmodel.layers import SequencePooling
from tests.layer_checks import check_layer

X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


@pytest.mark.parametrize("kind", ["mean", "first"])
def test_all_checks(kind):
    def reference(x, weights):
        return x.mean(axis=1) if kind == "mean" else x[:, 0]

    # The first position must be seen to be taken.
    masks = {"x": np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]], bool)}
    check_layer(
        SequencePooling,
        {"kind": kind},
        X,
        (2, 3),
        reference,
        masks=masks,
        output_mask=None,
    )


def test_mean_is_over_what_is_visible():
    mask = np.array([[0, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
    found = SequencePooling("mean")(X, mask=mask)
    np.testing.assert_allclose(found[0], X[0, 1:3].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(found[1], np.zeros(3))


def test_long_means_stay_exact_in_half_precision():
    x = np.full((1, 5000, 1), 0.1)
    mean = SequencePooling("mean", dtype="bfloat16")(x)
    assert abs(float(mean[0, 0]) - 0.1) < 0.001


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="Received: kind='last'"):
        SequencePooling("last")
