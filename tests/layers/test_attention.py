"""Self-attention and cross-attention."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel.layers import (
    ALiBiPositionEncoding,
    CrossAttention,
    DecodingScope,
    RelativePositionEncoding,
    RotaryPositionEncoding,
    SelfAttention,
)
from tests.layer_case import to_numpy, weights_below
from tests.layer_checks import check_layer
from tests.layers import attention_reference as reference


def random(*shape, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=shape).astype("float32")


def built(layer, *inputs):
    """Calls a layer once and gives it random weights."""
    layer(*inputs)
    generator = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(generator.uniform(-0.7, 0.7, weight.shape))
    return layer


def assert_near(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(
        to_numpy(actual), expected, rtol=tolerance, atol=tolerance
    )


def test_all_checks_of_grouped_causal_heads_with_rotary_positions():
    x = random(2, 7, 5)

    def expected(x, weights):
        return reference.self_attention(
            x,
            weights,
            6,
            3,
            visible=reference.causal(7),
            rotate=reference.rotary(np.arange(7)[None]),
        )

    check_layer(
        SelfAttention,
        {
            "num_heads": 6,
            "head_dim": 4,
            "num_key_value_heads": 3,
            "causal": True,
            "position_encoding": RotaryPositionEncoding(),
        },
        x,
        (2, 7, 5),
        expected,
        stateful=True,
        zero_gradients=("key/bias",),
    )


def test_all_checks_of_everything_a_causal_layer_can_have():
    x = random(2, 7, 10)

    def expected(x, weights):
        def normalize(heads, name):
            mean_square = np.mean(heads**2, axis=-1, keepdims=True)
            scale = weights[f"{name}_norm/scale"]
            return heads / np.sqrt(mean_square + 1e-6) * scale

        distance = np.arange(7)[:, None] - np.arange(7)
        slopes = np.array([2.0**-4, 2.0**-8])[:, None, None]
        return reference.self_attention(
            x,
            weights,
            2,
            1,
            visible=(distance >= 0) & (distance < 3),
            normalize=normalize,
            bias=-slopes * np.abs(distance),
            soft_cap=2.0,
            scale=0.7,
            sinks=weights["sinks"],
        )

    check_layer(
        SelfAttention,
        {
            "num_heads": 2,
            "num_key_value_heads": 1,
            "causal": True,
            "sliding_window": 3,
            "position_encoding": ALiBiPositionEncoding(2),
            "use_bias": ["value", "output"],
            # A list, because Keras's `build` makes one of a number.
            "query_normalization": keras.layers.RMSNormalization(
                [-1], name="query_norm"
            ),
            "key_normalization": keras.layers.RMSNormalization(
                [-1], name="key_norm"
            ),
            "logit_soft_cap": 2.0,
            "scale": 0.7,
            "use_sinks": True,
        },
        x,
        (2, 7, 10),
        expected,
        stateful=True,
    )


def test_all_checks_in_both_directions_with_every_mask():
    x = random(2, 7, 6)
    padding = np.ones((2, 7), "bool")
    padding[0, 5:] = False
    pairs = np.random.default_rng(3).random((2, 7, 7)) < 0.7
    segments = np.array([[1, 1, 1, 2, 2, 3, 3], [1, 1, 2, 2, 2, 2, 2]], "int32")

    def expected(inputs, weights):
        segments = inputs["segment_ids"]
        visible = padding[:, None, :] & pairs
        visible &= segments[:, :, None] == segments[:, None, :]
        return reference.self_attention(
            inputs["x"], weights, 3, visible=visible[:, None]
        )

    inputs = {"x": x, "segment_ids": segments}
    case = {"num_heads": 3}
    check_layer(
        SelfAttention, case, inputs, (2, 7, 6), zero_gradients=("key/bias",)
    )
    layer = built(SelfAttention(name="layer", **case), x)
    y = layer(
        x, padding_mask=padding, attention_mask=pairs, segment_ids=segments
    )
    assert_near(y, expected(inputs, weights_below(layer)))


def test_all_checks_of_cross_attention():
    inputs = {"x": random(2, 7, 5), "context": random(2, 11, 3, seed=1)}

    def expected(inputs, weights):
        context = inputs["context"]
        heads = reference.attend(
            reference.heads_of(inputs["x"], weights, "query", 4),
            reference.heads_of(context, weights, "key", 2),
            reference.heads_of(context, weights, "value", 2),
            True,
        )
        return reference.output_of(heads, weights)

    check_layer(
        CrossAttention,
        {"num_heads": 4, "head_dim": 3, "num_key_value_heads": 2},
        inputs,
        (2, 7, 5),
        expected,
        stateful=True,
        zero_gradients=("key/bias",),
    )


# Constructor arguments, and what the reference must be told of them.
VARIANTS = {
    "separate head size": ({"head_dim": 5}, {}),
    "multi-query": ({"num_key_value_heads": 1}, {"num_key_value_heads": 1}),
    "no bias": ({"use_bias": False}, {}),
    "query and key biased": ({"use_bias": ["query", "key"]}, {}),
    "soft cap": ({"logit_soft_cap": 0.5}, {"soft_cap": 0.5}),
    "scale": ({"scale": 2.0}, {"scale": 2.0}),
    "window both ways": (
        {"sliding_window": 2},
        {"visible": np.abs(np.arange(7)[:, None] - np.arange(7)) < 2},
    ),
    "causal": ({"causal": True}, {"visible": reference.causal(7)}),
    "dropout outside training": ({"dropout": 0.5}, {}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants(variant):
    arguments, told = VARIANTS[variant]
    x = random(2, 7, 12)
    layer = built(SelfAttention(4, **arguments), x)
    expected = reference.self_attention(
        x.astype("float64"), weights_below(layer), 4, **told
    )
    assert_near(layer(x), expected)


def test_sinks_take_their_share():
    x = random(2, 7, 12)
    layer = built(SelfAttention(4, use_sinks=True), x)
    weights = weights_below(layer)
    expected = reference.self_attention(
        x.astype("float64"), weights, 4, sinks=weights["sinks"]
    )
    assert_near(layer(x), expected)


def test_positions_and_a_shared_bias_can_be_given():
    x = random(2, 7, 12)
    positions = np.array([[0, 1, 2, 3, 0, 1, 2], [5, 6, 7, 8, 9, 10, 11]])
    bias = random(1, 4, 7, 7, seed=2)
    layer = SelfAttention(
        4, 6, causal=True, position_encoding=RotaryPositionEncoding()
    )
    built(layer, x)
    expected = reference.self_attention(
        x.astype("float64"),
        weights_below(layer),
        4,
        rotate=reference.rotary(positions),
        visible=(positions[:, :, None] >= positions[:, None])[:, None],
        bias=bias,
    )
    y = layer(x, positions=positions.astype("int32"), attention_bias=bias)
    assert_near(y, expected)


def test_biases_are_added_up():
    x = random(2, 7, 12)
    bias = random(1, 4, 7, 7, seed=2)
    alibi = ALiBiPositionEncoding(4)
    layer = built(SelfAttention(4, position_encoding=alibi), x)
    positions = np.arange(7)[None]
    own = to_numpy(alibi.bias(positions, positions))
    expected = reference.self_attention(
        x.astype("float64"), weights_below(layer), 4, bias=bias + own
    )
    assert_near(layer(x, attention_bias=bias), expected)


@pytest.mark.parametrize("causal", [False, True])
def test_a_token_that_sees_nothing_gets_zeros(causal):
    x = random(2, 7, 12)
    layer = built(SelfAttention(4, causal=causal, use_bias=False), x)
    visible = np.ones((2, 7), "bool")
    visible[0] = False
    visible[1, :3] = False
    y = to_numpy(layer(x, padding_mask=visible))
    assert np.isfinite(y).all()
    assert not y[0].any()
    assert y[1, :3].any() != causal
    assert y[1, 3:].any(axis=-1).all()


def test_a_keras_mask_and_a_padding_mask_are_combined():
    embedding = keras.layers.Embedding(9, 12, mask_zero=True)
    ids = np.array([[0, 3, 4, 5, 6, 0, 0], [1, 2, 3, 4, 5, 6, 7]], "int32")
    given = np.ones((2, 7), "bool")
    given[1, 2] = False
    layer = SelfAttention(4)
    x = embedding(ids)
    layer(x)
    bare = ops.convert_to_tensor(to_numpy(x))
    both = layer(bare, padding_mask=given & (ids != 0))
    assert_near(layer(x, padding_mask=given), to_numpy(both))
    alone = layer(bare, padding_mask=ids != 0)
    assert_near(layer(x), to_numpy(alone))
    cross = CrossAttention(4)
    cross(bare, bare)
    expected = cross(bare, bare, padding_mask=given & (ids != 0))
    assert_near(cross(bare, x, padding_mask=given), to_numpy(expected))


def test_compiled_models_see_keras_masks():
    """Under jax.jit tensors have no attributes to carry a mask."""
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(9, 12, mask_zero=True)(ids)
    y = SelfAttention(4)(x)
    y = CrossAttention(4)(y, x)
    model = keras.Model(ids, keras.layers.GlobalAveragePooling1D()(y))
    padded = np.array([[3, 4, 5, 0, 0], [1, 2, 6, 7, 0]], "int32")
    longer = np.concatenate([padded, 0 * padded], axis=1)
    np.testing.assert_allclose(
        model.predict(longer, verbose=0),
        model.predict(padded, verbose=0),
        atol=1e-6,
    )


def test_gradients_are_slopes():
    """Numerically, for the weights and through every kind of part."""
    x = random(2, 5, 12)
    layer = SelfAttention(
        4,
        head_dim=6,
        num_key_value_heads=2,
        causal=True,
        position_encoding=RotaryPositionEncoding(),
        query_normalization=keras.layers.RMSNormalization(),
        logit_soft_cap=2.0,
        use_sinks=True,
    )
    built(layer, x)
    probe = random(2, 5, 12, seed=4)
    weights = layer.trainable_weights
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x) * probe)
        gradients = tape.gradient(loss, [weight.value for weight in weights])
    else:
        import jax

        def loss(values):
            return ops.sum(layer.stateless_call(values, [], x)[0] * probe)

        gradients = jax.grad(loss)([weight.value for weight in weights])
    generator = np.random.default_rng(6)
    for weight, gradient in zip(weights, gradients, strict=True):
        start = to_numpy(weight)
        direction = generator.normal(size=start.shape)
        direction /= np.linalg.norm(direction)
        ends = []
        for step in (-0.02, 0.02):
            weight.assign(start + step * direction)
            y = to_numpy(layer(x)).astype("float64")
            ends.append(np.sum(y * probe))
        weight.assign(start)
        slope = (ends[1] - ends[0]) / 0.04
        expected = np.sum(to_numpy(gradient) * direction)
        assert slope == pytest.approx(expected, rel=1e-2, abs=1e-2), weight.path


def test_relative_positions_reach_attention():
    x = random(1, 7, 12)
    encoding = RelativePositionEncoding(4, bidirectional=False)
    layer = SelfAttention(4, causal=True, position_encoding=encoding)
    built(layer, x)
    positions = np.arange(7)[None]
    expected = reference.self_attention(
        x.astype("float64"),
        weights_below(layer),
        4,
        visible=reference.causal(7),
        bias=to_numpy(encoding.bias(positions, positions)),
    )
    assert_near(layer(x), expected)


X = np.ones((1, 3, 8), "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 0}, "at least 1.*num_heads=0"),
        (
            {"num_heads": 4, "num_key_value_heads": 3},
            "divide.*num_heads=4, num_key_value_heads=3",
        ),
        ({"num_heads": 3}, "divide.*num_heads=3, hidden_dim=8"),
        ({"num_heads": 2, "sliding_window": 0}, "sliding_window=0"),
        ({"num_heads": 2, "logit_soft_cap": 0.0}, "logit_soft_cap=0.0"),
        ({"num_heads": 2, "use_bias": ["keys"]}, r"use_bias=\['keys'\]"),
        ({"num_heads": 2, "use_bias": "query"}, "use_bias='query'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SelfAttention(**arguments)(X)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"padding_mask": np.ones(3, "bool")}, r"padding_mask.shape=\(3,\)"),
        ({"padding_mask": np.ones((1, 3))}, "padding_mask.dtype=float"),
        (
            {"attention_mask": np.ones((3, 3), "bool")},
            r"attention_mask.shape=\(3, 3\)",
        ),
        ({"attention_mask": np.ones((1, 3, 3))}, "attention_mask.dtype=float"),
        ({"segment_ids": np.ones(3, "int32")}, r"segment_ids.shape=\(3,\)"),
    ],
)
def test_bad_inputs(inputs, message):
    inputs = {
        name: x.astype("float32") if x.dtype == "float64" else x
        for name, x in inputs.items()
    }
    with pytest.raises(ValueError, match=message):
        SelfAttention(2)(X, **inputs)


@pytest.mark.parametrize(
    ("arguments", "inputs", "message"),
    [
        ({}, {}, "causal=False, name='attention'"),
        (
            {"causal": True},
            {"positions": np.zeros((1, 3), "int32")},
            r"arguments=\['positions'\]",
        ),
        (
            {"causal": True, "sliding_window": 2},
            {"attention_bias": np.zeros((1, 2, 3, 3), "float32")},
            r"arguments=\['attention_bias'\]",
        ),
    ],
)
def test_what_cannot_run_in_steps(arguments, inputs, message):
    layer = SelfAttention(2, name="attention", **arguments)
    with pytest.raises(ValueError, match=message), DecodingScope(5):
        layer(X, **inputs)
