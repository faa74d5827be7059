"""Attention by blocks equals plain attention, forward and backward."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel.layers import (
    ALiBiPositionEncoding,
    SelfAttention,
    chunked_attention,
    dot_product,
)
from keras_bigmodel.layers.chunked_attention import chunked_attend
from keras_bigmodel.layers.masks import Visibility
from tests.layer_case import to_numpy

pytestmark = pytest.mark.tensorflow

# Batch, queries, key heads, queries a key head, head size, block.
B, T, K, G, D, BLOCK = 2, 23, 2, 3, 5, 4
POSITIONS = np.arange(T, dtype="int32")[None]


def random(*shape, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=shape).astype("float32")


def no_bias(query_positions, key_positions):
    return None


def padding():
    visible = np.ones((B, T), "bool")
    visible[0, -9:] = False
    visible[1, :5] = False
    return visible


def segments():
    return np.repeat([[1, 2, 3], [5, 5, 4]], [9, 3, 11], axis=1).astype("int32")


PAIRS = np.random.default_rng(5).random((B, K * G, T, T)) < 0.5

# What each query may see; whether it goes in order; window; more options.
CASES = {
    "all": ({}, {}),
    "causal": ({"causal": True}, {}),
    "in order": ({"causal": True}, {"aligned": True, "in_order": True}),
    "in order, padded": (
        {"causal": True, "padding_mask": padding()},
        {"aligned": True, "in_order": True},
    ),
    "window 1": ({"causal": True, "window": 1}, {"aligned": True}),
    "window 6": ({"causal": True, "window": 6}, {"aligned": True}),
    "window 6, padded": (
        {"causal": True, "window": 6, "padding_mask": padding()},
        {"aligned": True},
    ),
    "window of all": ({"causal": True, "window": 40}, {"aligned": True}),
    "window both ways": ({"window": 3}, {"aligned": True}),
    "window not aligned": ({"causal": True, "window": 6}, {}),
    "segments": (
        {
            "causal": True,
            "query_segments": segments(),
            "key_segments": segments(),
        },
        {"aligned": True, "in_order": True},
    ),
    "segments in a window": (
        {
            "causal": True,
            "window": 4,
            "query_segments": segments(),
            "key_segments": segments(),
        },
        {"aligned": True},
    ),
    "pairs": ({"attention_mask": PAIRS}, {}),
    "pairs in a window": (
        {"attention_mask": PAIRS, "causal": True, "window": 6},
        {"aligned": True},
    ),
    "soft cap": (
        {"causal": True},
        {"aligned": True, "in_order": True, "soft_cap": 0.8},
    ),
}


def inputs():
    """Returns queries, keys and values."""
    keys_and_values = (random(B, K, T, D, seed=seed) for seed in (1, 2))
    return [random(B, K, G, T, D), *keys_and_values]


def both_ways(visibility, options, bias=no_bias, jit=False, keys=T):
    """Returns outputs and gradients of the plain path and of the blocks."""
    import tensorflow as tf

    query = random(B, K, G, T, D)
    key, value = (random(B, K, keys, D, seed=n) for n in (1, 2))
    probe = random(B, K, G, T, D, seed=3)
    visibility = Visibility(
        POSITIONS,
        np.arange(keys, dtype="int32")[None],
        **{
            name: ops.convert_to_tensor(x) if hasattr(x, "shape") else x
            for name, x in visibility.items()
        },
    )
    options = {"block_size": BLOCK, **options}

    def plain(query, key, value):
        mask = dot_product.group_scores(visibility.mask(), K)
        added = bias(visibility.query_positions, visibility.key_positions)
        return dot_product.attend(
            query,
            key,
            value,
            mask,
            dot_product.group_scores(added, K),
            soft_cap=options.get("soft_cap"),
            may_hide_everything=visibility.may_hide_everything,
        )

    def chunked(query, key, value):
        return chunked_attend(query, key, value, visibility, bias, **options)

    def run(attend):
        @tf.function(jit_compile=jit, autograph=False)
        def outputs(*inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                y = attend(*inputs)
                loss = tf.reduce_sum(y * probe)
            return y, *tape.gradient(loss, inputs)

        return outputs(*map(tf.constant, (query, key, value)))

    return run(plain), run(chunked)


@pytest.mark.parametrize("case", CASES)
def test_blocks_equal_plain(case):
    for expected, found in zip(*both_ways(*CASES[case]), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", ["in order", "window 6, padded"])
def test_blocks_equal_plain_compiled(case):
    for expected, found in zip(*both_ways(*CASES[case], jit=True), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("window", [None, 6])
def test_blocks_with_a_bias(window):
    bias = ALiBiPositionEncoding(K * G).bias
    visibility = {"causal": True, "window": window}
    for expected, found in zip(
        *both_ways(visibility, {"aligned": True}, bias), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block_size", [1, T, 64])
def test_any_block_size(block_size):
    options = {"aligned": True, "in_order": True, "block_size": block_size}
    for expected, found in zip(
        *both_ways({"causal": True}, options), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_keys_of_another_length():
    for expected, found in zip(*both_ways({}, {}, keys=13), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_gradient_is_the_slope():
    import tensorflow as tf

    visibility = Visibility(POSITIONS, POSITIONS, causal=True)
    options = {"aligned": True, "in_order": True, "soft_cap": 1.5}
    probe = random(B, K, G, T, D, seed=3)

    @tf.function(autograph=False)
    def loss(*inputs):
        y = chunked_attend(
            *inputs, visibility, no_bias, block_size=BLOCK, **options
        )
        return tf.reduce_sum(y * probe)

    tensors = [tf.constant(x) for x in inputs()]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = loss(*tensors)
    gradients = tape.gradient(value, tensors)
    for n, gradient in enumerate(gradients):
        direction = random(*gradient.shape, seed=9 + n)
        direction /= np.linalg.norm(direction)
        ends = []
        for step in (-0.05, 0.05):
            moved = list(tensors)
            moved[n] = tensors[n] + step * direction
            ends.append(float(loss(*moved)))
        slope = (ends[1] - ends[0]) / 0.1
        assert slope == pytest.approx(np.sum(gradient * direction), rel=5e-3)


def layer_outputs(monkeypatch, chunked_from, inputs, **arguments):
    """Returns a layer's output and gradients with another threshold."""
    import tensorflow as tf

    monkeypatch.setattr(chunked_attention, "CHUNKED_FROM", chunked_from)
    keras.utils.set_random_seed(1)
    layer = SelfAttention(4, 3, 2, causal=True, **arguments)

    @tf.function(input_signature=[tf.TensorSpec((None, T, 5))])
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**3)
        weights = [weight.value for weight in layer.trainable_weights]
        return y, *tape.gradient(loss, [x, *weights])

    layer(inputs)
    return run(inputs)


@pytest.mark.parametrize("window", [None, 6])
def test_layer_chooses_blocks_by_length(monkeypatch, window):
    calls = []
    original = chunked_attention.chunked_attend
    monkeypatch.setattr(
        chunked_attention,
        "chunked_attend",
        lambda *a, **k: calls.append(1) or original(*a, **k, block_size=BLOCK),
    )
    x = random(B, T, 5)
    plain = layer_outputs(monkeypatch, T + 1, x, sliding_window=window)
    assert not calls
    chunked = layer_outputs(monkeypatch, T, x, sliding_window=window)
    assert calls
    for expected, found in zip(plain, chunked, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_what_is_worthwhile():
    def worthwhile(length, window=None, causal=True, aligned=True):
        query = keras.KerasTensor((1, K, G, length, D))
        key = keras.KerasTensor((1, K, length, D))
        visibility = Visibility(None, None, causal=causal, window=window)
        return chunked_attention.is_worthwhile(query, key, visibility, aligned)

    assert worthwhile(2048)
    assert not worthwhile(2047)
    assert not worthwhile(None)
    assert worthwhile(600, window=44)
    assert not worthwhile(599, window=44)
    assert not worthwhile(600, window=44, aligned=False)
    assert not worthwhile(600, window=44, causal=False)


def test_bfloat16_is_near():
    import tensorflow as tf

    visibility = Visibility(POSITIONS, POSITIONS, causal=True)
    outputs = [
        chunked_attend(
            *(tf.cast(x, dtype) for x in inputs()),
            visibility,
            no_bias,
            block_size=BLOCK,
        )
        for dtype in ("float32", "bfloat16")
    ]
    assert outputs[1].dtype == tf.bfloat16
    difference = np.abs(to_numpy(outputs[1]) - to_numpy(outputs[0]))
    assert difference.max() < 0.05
