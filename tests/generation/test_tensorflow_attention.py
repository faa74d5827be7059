import numpy as np
import pytest

from keras_bigmodel.layers import dot_product

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")

from keras_bigmodel.generation import tensorflow_attention  # noqa: E402

B, S, D = 3, 7, 5


def numbers(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return values.astype("float32")


@pytest.mark.parametrize("heads", [1, 3, 4, 6])
@pytest.mark.parametrize("shared", [1, 2])
@pytest.mark.parametrize("masked", ["none", "alike", "each row", "each head"])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("length", [1, 3])
def test_it_attends_as_the_plain_way(heads, shared, masked, biased, length):
    query = numbers(B, heads, shared, length, D)
    key, value = (
        numbers(B, heads, S, D, seed=1),
        numbers(B, heads, S, D, seed=2),
    )
    shape = {
        "none": None,
        "alike": (1, 1, 1, length, S),
        "each row": (B, 1, 1, length, S),
        "each head": (1, heads, shared, length, S),
    }[masked]
    mask = bias = None
    if shape:
        mask = numbers(*shape, seed=3) > 0
        mask[..., 0] = True
    if biased:
        bias = numbers(1, heads, shared, length, S, seed=4)
    attend = tf.function(tensorflow_attention.attend_to_cache)
    for soft_cap in (None, 1.5):
        found = attend(query, key, value, mask, bias, soft_cap)
        expected = dot_product.attend(
            *map(tf.constant, (query, key, value)),
            mask if mask is None else tf.constant(mask),
            bias if bias is None else tf.constant(bias),
            soft_cap=soft_cap,
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("length", [1, 3])
def test_the_batch_may_be_unknown(length):
    attend = tf.function(
        tensorflow_attention.attend_to_cache,
        input_signature=[
            tf.TensorSpec([None, 4, 1, length, D], tf.float32),
            tf.TensorSpec([None, 4, None, D], tf.float32),
            tf.TensorSpec([None, 4, None, D], tf.float32),
            tf.TensorSpec([None, 1, 1, length, None], tf.bool),
            tf.TensorSpec([1, 4, 1, length, None], tf.float32),
        ],
    )
    query, key = numbers(B, 4, 1, length, D), numbers(B, 4, S, D, seed=1)
    mask = np.ones((B, 1, 1, length, S), "bool")
    bias = numbers(1, 4, 1, length, S, seed=2)
    expected = dot_product.attend(
        *map(tf.constant, (query, key, key, mask, bias))
    )
    found = attend(query, key, key, mask, bias)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_it_is_for():
    can = tensorflow_attention.can_attend
    single = tf.zeros((B, 4, 1, 1, D))
    assert can(single, {"sinks": None, "soft_cap": 2.0, "record": None})
    assert not can(single, {"record": print})
    assert not can(single, {"may_hide_everything": True})
    assert can(tf.zeros((B, 4, 1, 16, D)), {})
    assert not can(tf.zeros((B, 4, 1, 17, D)), {})
    assert not can(tf.cast(single, tf.bfloat16), {})
