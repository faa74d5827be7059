import keras
import numpy as np
import pytest

from keras_bigmodel.layers import (
    EncoderBlock,
    FeedForward,
    MixtureOfExperts,
    RotaryPositionEncoding,
    SelfAttention,
)
from tests.layer_case import to_numpy, weights_below
from tests.layer_checks import check_layer
from tests.layers import attention_reference as reference


def random(*shape):
    return np.random.default_rng(5).normal(size=shape).astype("float32")


def part(weights, name):
    """Returns the weights below a part, without its name."""
    start = f"{name}/"
    return {
        path[len(start) :]: value
        for path, value in weights.items()
        if path.startswith(start)
    }


def normalize(x, weights, epsilon=1e-5):
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon)
    return x * weights["gamma"] + weights["beta"]


def feed(x, weights):
    wide = x @ weights["up/kernel"] + weights["up/bias"]
    wide = np.maximum(wide, 0.0)
    return wide @ weights["down/kernel"] + weights["down/bias"]


PLACES = {
    "pre": {"normalize_first": True},
    "post": {"normalize_first": False},
    "sandwich": {"normalize_first": True, "normalize_branch": True},
    "branch": {"normalize_first": False, "normalize_branch": True},
    "parallel": {"parallel": True},
}


def expected_block(place, x, weights, mask):
    def attend(y):
        return reference.self_attention(
            y, part(weights, "self_attention"), 3, visible=mask
        )

    def network(y):
        return feed(y, part(weights, "feed_forward"))

    def norm(y, name):
        return normalize(y, part(weights, f"{name}_normalization"))

    def branch(y, function, name):
        if place in ("pre", "sandwich", "parallel"):
            y = norm(y, name)
        y = function(y)
        if place in ("sandwich", "branch"):
            y = norm(y, f"{name}_branch")
        return y

    parts = [(attend, "self_attention"), (network, "feed_forward")]
    if place == "parallel":
        return x + sum(branch(x, *each) for each in parts)
    for function, name in parts:
        x = x + branch(x, function, name)
        if place == "post":
            x = norm(x, name)
    return x


@pytest.mark.parametrize("place", PLACES)
def test_places_of_normalisation(place):
    x = random(2, 5, 6)
    layer = EncoderBlock(3, 7, activation="relu", **PLACES[place])
    mask = np.array([[True] * 5, [True] * 3 + [False] * 2])
    layer(x)
    generator = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(generator.uniform(-0.7, 0.7, weight.shape))
    found = to_numpy(layer(x, padding_mask=mask))
    wide = {k: v.astype("float64") for k, v in weights_below(layer).items()}
    expected = expected_block(
        place, x.astype("float64"), wide, mask[:, None, None, :]
    )
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_all_checks():
    def expected(x, weights):
        return expected_block("pre", x, weights, True)

    check_layer(
        EncoderBlock,
        {"num_heads": 3, "intermediate_dim": 7, "activation": "relu"},
        random(2, 5, 6),
        (2, 5, 6),
        expected,
        zero_gradients=("key/bias",),
    )


def test_all_checks_with_rms_normalisation():
    check_layer(
        EncoderBlock,
        {
            "num_heads": 2,
            "intermediate_dim": 7,
            "position_encoding": RotaryPositionEncoding(),
            "normalization": "rms",
            "gated": True,
            "use_bias": False,
        },
        random(2, 5, 12),
        (2, 5, 12),
    )


def test_dropout_acts_in_training_alone():
    x = random(2, 5, 12)
    layer = EncoderBlock(2, 7, dropout=0.5)
    plain = to_numpy(layer(x))
    np.testing.assert_array_equal(to_numpy(layer(x, training=False)), plain)
    first, second = (to_numpy(layer(x, training=True)) for _ in range(2))
    assert not np.allclose(first, plain)
    assert not np.allclose(first, second)


def test_padding_takes_no_part_in_a_mixture():
    """The mask reaches experts behind a sum, which carries no Keras mask."""
    experts = MixtureOfExperts(4, 6, 2)
    layer = EncoderBlock(2, feed_forward=experts)
    x = random(2, 5, 6)
    mask = np.array([[True] * 5, [True] * 2 + [False] * 3])
    layer(x, padding_mask=mask, training=True)
    masked = [float(loss) for loss in layer.losses]
    x[1, 2:] = 50.0
    layer(x, padding_mask=mask, training=True)
    np.testing.assert_allclose(
        [float(loss) for loss in layer.losses], masked, rtol=1e-5
    )


def test_stochastic_depth_skips_whole_rows():
    layer = EncoderBlock(1, 4, drop_path=0.5)
    x = random(64, 3, 4)
    layer.build(x.shape)
    layer.feed_forward.down.kernel.assign(np.zeros((4, 4)))
    moved = np.abs(to_numpy(layer(x, training=True)) - x).max(axis=(1, 2))
    plain = np.abs(to_numpy(layer(x)) - x).max(axis=(1, 2))
    skipped = moved < 1e-7
    assert 10 < skipped.sum() < 54
    np.testing.assert_allclose(moved[~skipped], 2 * plain[~skipped], rtol=1e-3)


def test_injected_parts_come_back_from_the_config():
    layer = EncoderBlock(
        self_attention=SelfAttention(2, head_dim=3, sliding_window=2),
        feed_forward=FeedForward(5, activation="silu", gated=True),
        normalization=keras.layers.LayerNormalization(epsilon=0.1),
    )
    x = random(1, 4, 6)
    layer(x)
    again = EncoderBlock.from_config(layer.get_config())
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(layer(x)))
    assert again.self_attention.sliding_window == 2


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="Give either `num_heads` or"):
        EncoderBlock(intermediate_dim=4)
    with pytest.raises(ValueError, match="Give either `num_heads` or"):
        EncoderBlock(2, 4, self_attention=SelfAttention(2))
    for wrong in ({}, {"intermediate_dim": 4, "feed_forward": FeedForward(4)}):
        with pytest.raises(ValueError, match="Give either `intermediate_dim`"):
            EncoderBlock(2, **wrong)
    with pytest.raises(ValueError, match="to the `self_attention` layer"):
        EncoderBlock(
            intermediate_dim=4,
            self_attention=SelfAttention(2),
            position_encoding=RotaryPositionEncoding(),
        )
    with pytest.raises(ValueError, match="an encoder's is not.*causal=True"):
        EncoderBlock(
            intermediate_dim=4, self_attention=SelfAttention(2, causal=True)
        )
    with pytest.raises(ValueError, match="normalization='batch'"):
        EncoderBlock(2, 4, normalization="batch")
    with pytest.raises(ValueError, match="parallel=True"):
        EncoderBlock(2, 4, parallel=True, normalize_first=False)
