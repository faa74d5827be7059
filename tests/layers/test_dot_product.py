"""Plain and fused attention over grouped heads."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel.layers import dot_product
from tests.layer_case import to_numpy
from tests.layers import attention_reference as reference

# Batch, queries, keys, heads, key heads, head size.
B, T, S, H, K, D = 2, 5, 7, 6, 3, 4


def random(*shape, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=shape).astype("float32")


QUERY = random(B, T, H, D)
KEY = random(B, S, K, D, seed=1)
VALUE = random(B, S, K, 11, seed=2)
MASK = np.random.default_rng(3).random((B, 1, T, S)) < 0.6
MASK[:, :, 0] = False
MASK_BY_HEAD = np.random.default_rng(4).random((1, H, T, S)) < 0.6
BIAS = random(1, H, T, S, seed=5)


def inputs(mask=None, bias=None):
    """Returns what the functions under test take."""
    key, value = (np.swapaxes(x, 1, 2) for x in (KEY, VALUE))
    masks = [
        None if x is None else ops.convert_to_tensor(x) for x in (mask, bias)
    ]
    return [
        dot_product.group_heads(ops.convert_to_tensor(QUERY), K),
        ops.convert_to_tensor(key),
        ops.convert_to_tensor(value),
        *(dot_product.group_scores(x, K) for x in masks),
    ]


def expected(mask=None, bias=None, **options):
    """Returns (B, T, H * D) of the reference."""
    parts = [x.astype("float64") for x in (QUERY, KEY, VALUE)]
    y = reference.attend(
        *parts, True if mask is None else mask, scale=1, bias=bias, **options
    )
    return y.reshape(B, T, -1)


CASES = {
    "nothing": (None, None),
    "mask": (MASK, None),
    "mask by head": (MASK_BY_HEAD, None),
    "bias": (None, BIAS),
    "both": (MASK, BIAS),
}


@pytest.mark.parametrize("case", CASES)
def test_attend(case):
    mask, bias = CASES[case]
    y = dot_product.attend(*inputs(mask, bias), may_hide_everything=True)
    np.testing.assert_allclose(
        to_numpy(dot_product.ungroup_heads(y)),
        expected(mask, bias),
        rtol=1e-5,
        atol=1e-5,
    )


def test_attend_with_soft_cap_and_sinks():
    sinks = random(H, seed=6)
    y = dot_product.attend(
        *inputs(MASK, BIAS),
        soft_cap=1.5,
        sinks=ops.reshape(sinks, (K, -1)),
        may_hide_everything=True,
    )
    np.testing.assert_allclose(
        to_numpy(dot_product.ungroup_heads(y)),
        expected(MASK, BIAS, soft_cap=1.5, sinks=sinks.astype("float64")),
        rtol=1e-5,
        atol=1e-5,
    )


def test_a_single_key_takes_all():
    query, key, value, _, _ = inputs()
    y = dot_product.attend(query, key[:, :, :1], value[:, :, :1])
    expected = np.repeat(VALUE[:, :1], H // K, axis=2)
    np.testing.assert_allclose(
        to_numpy(dot_product.ungroup_heads(y)),
        np.broadcast_to(expected, (B, T, H, 11)).reshape(B, T, -1),
        rtol=1e-6,
    )


def test_probabilities_are_shown():
    seen = []
    dot_product.attend(
        *inputs(MASK), may_hide_everything=True, record=seen.append
    )
    parts = [x.astype("float64") for x in (QUERY, KEY)]
    np.testing.assert_allclose(
        to_numpy(seen[0]),
        reference.probabilities(*parts, MASK, scale=1),
        atol=1e-6,
    )


def test_dropout_acts_on_probabilities():
    y = dot_product.attend(*inputs(), dropout=ops.zeros_like)
    assert not to_numpy(y).any()


@pytest.mark.parametrize("length", [1, T])
def test_grouping_is_undone(length):
    x = QUERY[:, :length]
    grouped = dot_product.group_heads(ops.convert_to_tensor(x), K)
    assert grouped.shape == (B, K, H // K, length, D)
    np.testing.assert_array_equal(
        to_numpy(grouped)[:, 1, 1, 0], x[:, 0, H // K + 1]
    )
    np.testing.assert_array_equal(
        to_numpy(dot_product.ungroup_heads(grouped)), x.reshape(B, length, -1)
    )


needs_jax = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="fused kernels are JAX's"
)


@needs_jax
@pytest.mark.parametrize("mask", [None, MASK, MASK_BY_HEAD, MASK[:, :, 1:2]])
def test_fused_is_plain(mask):
    import jax

    query, key, value, mask, _ = inputs(mask)
    value = value[..., :D]  # The kernels want keys and values of one size.
    probe = random(*query.shape, seed=7)

    def plain(query, key, value):
        y = dot_product.attend(
            query, key, value, mask, may_hide_everything=True
        )
        return ops.sum(y * probe)

    def fused(query, key, value):
        y = dot_product.attend_fused(
            query,
            key,
            value,
            mask,
            causal=False,
            may_hide_everything=True,
        )
        return ops.sum(y * probe)

    for one, other in zip(
        jax.value_and_grad(fused, (0, 1, 2))(query, key, value),
        jax.value_and_grad(plain, (0, 1, 2))(query, key, value),
        strict=True,
    ):
        for a, b in zip(
            jax.tree.leaves(one), jax.tree.leaves(other), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@needs_jax
def test_fused_causal():
    query, key, value, _, _ = inputs()
    key, value = key[:, :, :T], value[:, :, :T, :D]
    causal = reference.causal(T)[None, None, None]
    np.testing.assert_allclose(
        dot_product.attend_fused(
            query,
            key,
            value,
            None,
            causal=True,
            may_hide_everything=False,
        ),
        dot_product.attend(query, key, value, causal),
        rtol=1e-5,
        atol=1e-5,
    )
