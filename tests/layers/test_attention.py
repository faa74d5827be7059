"""Self-attention and cross-attention."""

import keras
import numpy as np

from keras_bigmodel.layers import (
    ALiBiPositionEncoding,
    CrossAttention,
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
