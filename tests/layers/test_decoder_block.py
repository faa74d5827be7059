import numpy as np
import pytest

from keras_bigmodel.layers import (
    CrossAttention,
    DecoderBlock,
    DecodingScope,
    RotaryPositionEncoding,
    SelfAttention,
)
from tests.layer_case import to_numpy, weights_below
from tests.layer_checks import check_layer
from tests.layers import attention_reference as reference
from tests.layers.test_encoder_block import feed, normalize, part


def random(*shape):
    return np.random.default_rng(5).normal(size=shape).astype("float32")


def expected_block(x, weights, context=None):
    def norm(name):
        return normalize(x, part(weights, f"{name}_normalization"))

    x = x + reference.self_attention(
        norm("self_attention"),
        part(weights, "self_attention"),
        3,
        visible=reference.causal(x.shape[1]),
    )
    if context is not None:
        crossing = part(weights, "cross_attention")
        heads = reference.attend(
            reference.heads_of(norm("cross_attention"), crossing, "query", 3),
            reference.heads_of(context, crossing, "key", 3),
            reference.heads_of(context, crossing, "value", 3),
            True,
        )
        x = x + reference.output_of(heads, crossing)
    return x + feed(norm("feed_forward"), part(weights, "feed_forward"))


def test_all_checks():
    check_layer(
        DecoderBlock,
        {"num_heads": 3, "intermediate_dim": 7, "activation": "relu"},
        random(2, 5, 6),
        (2, 5, 6),
        expected_block,
        stateful=True,
        zero_gradients=("key/bias",),
    )


def test_cross_attention():
    x, context = random(2, 5, 6), random(2, 7, 4)
    layer = DecoderBlock(3, 7, activation="relu", cross_attention=True)
    layer(x, context)
    generator = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(generator.uniform(-0.7, 0.7, weight.shape))
    whole = to_numpy(layer(x, context))
    wide = {k: v.astype("float64") for k, v in weights_below(layer).items()}
    expected = expected_block(
        x.astype("float64"), wide, context.astype("float64")
    )
    np.testing.assert_allclose(whole, expected, atol=2e-5)
    scope = DecodingScope(max_length=5)
    parts = []
    for index in range(5):
        # After the first step the kept keys and values are used.
        shown = context if index == 0 else 0 * context
        with scope:
            step = layer(x[:, index : index + 1], shown)
        parts.append(to_numpy(step))
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-5)


def test_context_masks_hide_padding():
    x, context = random(2, 3, 6), random(2, 7, 4)
    layer = DecoderBlock(2, 7, cross_attention=CrossAttention(3, head_dim=2))
    mask = np.ones((2, 7), bool)
    mask[1, 4:] = False
    masked = to_numpy(layer(x, context, context_mask=mask))
    context[1, 4:] = 99.0
    again = to_numpy(layer(x, context, context_mask=mask))
    np.testing.assert_array_equal(masked, again)
    short = to_numpy(layer(x[1:], context[1:, :4]))
    np.testing.assert_allclose(masked[1:], short, atol=1e-5)


def test_everything_a_modern_block_has():
    check_layer(
        DecoderBlock,
        {
            "self_attention": SelfAttention(
                4,
                num_key_value_heads=2,
                causal=True,
                sliding_window=3,
                position_encoding=RotaryPositionEncoding(),
                use_bias=("query",),
            ),
            "intermediate_dim": 7,
            "activation": "silu",
            "gated": True,
            "use_bias": False,
            "normalization": "rms",
            "normalize_branch": True,
        },
        random(2, 7, 8),
        (2, 7, 8),
        stateful=True,
    )


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="causal, an encoder's is not"):
        DecoderBlock(intermediate_dim=4, self_attention=SelfAttention(2))
    with pytest.raises(ValueError, match="leave no place for cross"):
        DecoderBlock(2, 4, parallel=True, cross_attention=True)
    with pytest.raises(ValueError, match="called with a `context`"):
        DecoderBlock(2, 4, cross_attention=True)(random(1, 3, 4))
    with pytest.raises(ValueError, match="called with a `context`"):
        DecoderBlock(2, 4)(random(1, 3, 4), random(1, 3, 4))
