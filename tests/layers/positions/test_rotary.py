"""The rotary position encoding."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel.layers import DecodingScope, decoding
from keras_bigmodel.layers.positions import RotaryPositionEncoding
from tests.layer_checks import check_layer
from tests.layers.positions.hooked import Rotated

LINEAR = {"type": "linear", "factor": 2.0}
DYNAMIC = {
    "type": "dynamic",
    "factor": 3.0,
    "original_max_position_embeddings": 4,
}


def turned(x, frequencies, positions, interleaved=False, magnitude=1.0):
    """x, (..., sequence, heads, head_dim), by complex products."""
    pairs = len(frequencies)
    x, rest = x[..., : 2 * pairs], x[..., 2 * pairs :]
    if interleaved:
        first, second = x[..., ::2], x[..., 1::2]
    else:
        first, second = x[..., :pairs], x[..., pairs:]
    angles = np.asarray(positions, "float64")[..., None, None] * frequencies
    z = (first + 1j * second) * magnitude * np.exp(1j * angles)
    if interleaved:
        y = np.stack([z.real, z.imag], axis=-1).reshape(x.shape)
    else:
        y = np.concatenate([z.real, z.imag], axis=-1)
    return np.concatenate([y, rest], axis=-1)


def frequencies_of(rotary_dim, base=10000.0):
    return np.array(
        [base ** (-i / rotary_dim) for i in range(0, rotary_dim, 2)]
    )


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("rotary_dim", [None, 6])
@pytest.mark.parametrize("scaling", [None, LINEAR])
def test_rotate(interleaved, rotary_dim, scaling):
    encoding = RotaryPositionEncoding(100.0, rotary_dim, interleaved, scaling)
    generator = np.random.default_rng(0)
    query = generator.normal(size=(2, 5, 3, 10))
    key = generator.normal(size=(2, 5, 1, 10))
    positions = np.array([[0, 1, 2, 3, 4], [7, 211, 5, 0, 9]], "int32")
    found = encoding.rotate(
        query.astype("float32"), key.astype("float32"), positions
    )
    frequencies = frequencies_of(rotary_dim or 10, 100.0)
    frequencies = frequencies / (2 if scaling else 1)
    for given, y in zip((query, key), found, strict=True):
        expected = turned(given, frequencies, positions, interleaved)
        np.testing.assert_allclose(y, expected, atol=2e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"interleaved": True, "rotary_dim": 4, "scaling": LINEAR},
        {"rotary_dim": 2, "base": 7.0},
    ],
)
def test_all_checks_of_an_attending_layer(options):
    encoding = RotaryPositionEncoding(**options)
    x = np.random.default_rng(0).normal(size=(2, 7, 18)).astype("float32")

    def reference(x, weights):
        frequencies = frequencies_of(
            options.get("rotary_dim", 6), options.get("base", 10000.0)
        )
        frequencies = frequencies / (2 if "scaling" in options else 1)
        y = turned(
            x.reshape(2, 7, 3, 6),
            frequencies,
            np.arange(7),
            options.get("interleaved", False),
        )
        return np.concatenate([y, y[:, :, :1]], axis=2).reshape(2, 7, 24)

    check_layer(
        Rotated,
        {"encoding": encoding, "num_heads": 3},
        x,
        (2, 7, 24),
        reference,
        stateful=True,
    )


def test_config_keeps_everything():
    given = {
        "base": 500.0,
        "rotary_dim": 4,
        "interleaved": True,
        "scaling": DYNAMIC,
    }
    config = RotaryPositionEncoding(**given).get_config()
    again = RotaryPositionEncoding.from_config(config)
    assert again.get_config() == config
    assert {name: config[name] for name in given} == given


def test_products_depend_on_the_distance_alone():
    encoding = RotaryPositionEncoding()
    query, key = np.random.default_rng(0).normal(size=(2, 1, 1, 1, 6))
    products = []
    for start in (0, 11, 101):
        (q, _), (_, k) = (
            encoding.rotate(
                query.astype("float32"), key.astype("float32"), [[position]]
            )
            for position in (start + 5, start + 2)
        )
        products.append(float(ops.sum(q * k)))
    np.testing.assert_allclose(products, products[0], atol=1e-5)


@pytest.mark.parametrize("interleaved", [False, True])
def test_gradient_is_the_numerical_one(interleaved):
    """Rotation is linear: its gradient turns the other way."""
    encoding = RotaryPositionEncoding(interleaved=interleaved, rotary_dim=4)
    generator = np.random.default_rng(0)
    x, probe = generator.normal(size=(2, 1, 3, 2, 6)).astype("float32")
    positions = np.arange(3)[None]

    def loss(x):
        query, key = encoding.rotate(x, x[:, :, :1], positions)
        return ops.sum(query * probe) + ops.sum(ops.square(key))

    numerical = np.zeros_like(x)
    step = 0.25
    for index in np.ndindex(*x.shape):
        high, low = x.copy(), x.copy()
        high[index] += step
        low[index] -= step
        numerical[index] = (float(loss(high)) - float(loss(low))) / (2 * step)
    np.testing.assert_allclose(
        gradient(loss, x), numerical, atol=1e-4, rtol=1e-4
    )


def gradient(function, x):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)
    import jax

    return jax.grad(function)(x)


def test_angles_stay_float32_in_low_precision():
    encoding = RotaryPositionEncoding(dtype="bfloat16")
    x = np.random.default_rng(0).normal(size=(1, 1, 1, 6))
    y, _ = encoding.rotate(
        ops.cast(x, "bfloat16"), ops.cast(x, "bfloat16"), [[1001]]
    )
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    expected = turned(x, frequencies_of(6), [[1001]])
    y = ops.convert_to_numpy(ops.cast(y, "float32"))
    np.testing.assert_allclose(y, expected, atol=0.03)


def test_layers_at_the_same_positions_share_the_angles():
    encodings = [RotaryPositionEncoding() for _ in range(2)]
    other = RotaryPositionEncoding(base=100.0)
    x = np.ones((1, 3, 1, 4), "float32")
    with DecodingScope(max_length=3):
        positions = decoding.current_positions(x)
        tables = [
            encoding._tables(positions, 4, "float32")
            for encoding in (*encodings, other)
        ]
        moved = encodings[0]._tables(positions + 1, 4, "float32")
    assert tables[0][0] is tables[1][0]
    assert tables[0][0] is not tables[2][0]
    assert np.abs(moved[0] - tables[0][0]).max() > 0.1


def test_dynamic_scaling_goes_by_the_length_of_each_row():
    encoding = RotaryPositionEncoding(scaling=DYNAMIC)
    x = np.random.default_rng(0).normal(size=(2, 3, 1, 6)).astype("float32")
    positions = np.array([[0, 1, 2], [0, 5, 10]])
    y, _ = encoding.rotate(x, x, positions)
    for row, length in enumerate((4, 11)):
        base = 10000.0 * (3.0 * length / 4 - 2.0) ** (6 / 4)
        expected = turned(x[row], frequencies_of(6, base), positions[row])
        np.testing.assert_allclose(y[row], expected, atol=1e-5)


@pytest.mark.parametrize("rotary_dim", [0, -2, 5])
def test_an_odd_or_no_rotary_dim(rotary_dim):
    with pytest.raises(ValueError, match=f"rotary_dim={rotary_dim}"):
        RotaryPositionEncoding(rotary_dim=rotary_dim)


@pytest.mark.parametrize(("rotary_dim", "head_dim"), [(None, 5), (6, 4)])
def test_a_head_that_cannot_turn(rotary_dim, head_dim):
    x = np.ones((1, 1, 1, head_dim), "float32")
    message = f"rotary_dim={rotary_dim}, head_dim={head_dim}"
    with pytest.raises(ValueError, match=message):
        RotaryPositionEncoding(rotary_dim=rotary_dim).rotate(x, x, [[0]])


def test_base_of_one():
    with pytest.raises(ValueError, match="base=1"):
        RotaryPositionEncoding(base=1)
