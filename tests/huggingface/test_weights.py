"""From tensors to weights."""

import keras
import ml_dtypes
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.huggingface import weights

pytestmark = pytest.mark.tensorflow


def test_an_empty_model_takes_values():
    model = weights.build_empty(
        lambda: kbm.models.decoder_lm(11, 7, 1, 2, 8, dropout=0.5)
    )
    random = np.random.default_rng(0)
    for weight in weights.weights_by_path(model).values():
        weights.give_value(weight, random.normal(size=weight.shape))
    for variable in model.variables:
        if weights.OWN.search(variable.path):
            variable._deferred_initialize()
    assert np.isfinite(model.predict(np.array([[3, 5]]), verbose=0)).all()
    # No list of variables without a value is left behind.
    assert keras.layers.Dense(2)(np.ones((1, 3))).shape == (1, 2)


def test_bfloat16_is_widened_without_loss():
    values = np.array([1, -2.5, 3e38, 1e-40, 0, -0.0], ml_dtypes.bfloat16)
    wide = weights.as_dtype(values, "float32")
    assert wide.dtype == np.float32
    np.testing.assert_array_equal(wide, values.astype("float32"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (37, 1), (37, 41), (5, 16)])
def test_transposed_matrices_come_in_c_order(shape, dtype):
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    ordered = weights.as_dtype(values.T, "float32")
    assert ordered.flags.c_contiguous
    np.testing.assert_array_equal(ordered, values.T.astype("float32"))


def test_other_dtypes_are_rounded_to_nearest():
    values = np.array([1 + 2**-9, 1 + 3 * 2**-9], "float32")
    rounded = weights.as_dtype(values, "bfloat16")
    np.testing.assert_array_equal(rounded.astype("float32"), [1, 1 + 2**-7])
    assert weights.as_dtype(values, "float16").dtype == np.float16


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_found(dtype, value):
    values = np.zeros((3, 5), weights.as_dtype(np.zeros(1), dtype).dtype)
    weights.check_finite("a", values)
    values[2, 3] = value
    with pytest.raises(ValueError, match="Received: tensor='a'"):
        weights.check_finite("a", values)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_large_numbers_are_finite(dtype):
    dtype = weights.as_dtype(np.zeros(1), dtype).dtype
    largest = ml_dtypes.finfo(dtype).max
    weights.check_finite("a", np.full((3, 5), largest, dtype))
