"""The bias that stands alone."""

import numpy as np

from keras_bigmodel.layers import Bias
from tests.layer_checks import check_layer


def test_all_checks():
    def reference(x, weights):
        return x + weights["bias"]

    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    check_layer(Bias, {}, x, (2, 5, 3), reference)


def test_initializer_is_used():
    layer = Bias(bias_initializer="ones")
    np.testing.assert_array_equal(layer(np.zeros((2, 3))), np.ones((2, 3)))
