"""The scalings of the rotary position encoding."""

import math

import numpy as np
import pytest

from keras_bigmodel.layers.positions import (
    RotaryPositionEncoding,
    rotary_scaling,
)

LLAMA3 = {
    "type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
YARN = {
    "type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 32768,
}

LONGROPE = {
    "type": "longrope",
    "factor": 3.0,
    "original_max_position_embeddings": 7,
    "short_factor": [1.0, 1.25, 1.5],
    "long_factor": [2.0, 3.0, 5.0],
}


def scaled(scaling, base, rotary_dim, length=1):
    part = rotary_scaling.resolve(scaling)
    positions = np.arange(length)[None]
    frequencies = part.frequencies(base, rotary_dim, positions)
    return np.asarray(frequencies).reshape(-1), part.magnitude


def plain(base, rotary_dim):
    return [base ** (-2 * i / rotary_dim) for i in range(rotary_dim // 2)]


def test_none():
    frequencies, magnitude = scaled(None, 10000.0, 6)
    np.testing.assert_allclose(frequencies, plain(10000.0, 6))
    assert magnitude == 1


def test_linear():
    scaling = {"type": "linear", "factor": 2.5}
    frequencies, magnitude = scaled(scaling, 10000.0, 6)
    np.testing.assert_allclose(frequencies * 2.5, plain(10000.0, 6))
    assert magnitude == 1


@pytest.mark.parametrize("length", [1, 7, 8, 31])
def test_dynamic(length):
    scaling = {
        "type": "dynamic",
        "factor": 2.0,
        "original_max_position_embeddings": 7,
    }
    frequencies, magnitude = scaled(scaling, 10000.0, 10, length)
    base = 10000.0 * (2.0 * max(length, 7) / 7 - 1.0) ** (10 / 8)
    np.testing.assert_allclose(frequencies, plain(base, 10), rtol=1e-6)
    assert magnitude == 1


def test_llama3():
    """High frequencies stay, low ones are divided, between them a ramp."""
    frequencies, magnitude = scaled(LLAMA3, 500_000.0, 128)
    assert magnitude == 1
    kinds = set()
    for frequency, before in zip(
        frequencies, plain(500_000.0, 128), strict=True
    ):
        wavelength = 2 * math.pi / before
        if wavelength < 8192 / 4.0:
            kinds.add("kept")
            expected = before
        elif wavelength > 8192 / 1.0:
            kinds.add("divided")
            expected = before / 8.0
        else:
            kinds.add("between")
            smooth = (8192 / wavelength - 1.0) / (4.0 - 1.0)
            expected = (1 - smooth) * before / 8.0 + smooth * before
        assert math.isclose(frequency, expected, rel_tol=1e-12)
    assert len(kinds) == 3


@pytest.mark.parametrize("truncate", [True, False])
def test_yarn(truncate):
    base, dim, longest = 1_000_000.0, 128, 32768
    scaling = {**YARN, "truncate": truncate}
    frequencies, magnitude = scaled(scaling, base, dim)
    # Equation 14 and the following, from the number of turns of each pair.
    low, high = (
        dim * math.log(longest / (2 * math.pi * turns)) / (2 * math.log(base))
        for turns in (32, 1)
    )
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    for i, before in enumerate(plain(base, dim)):
        ramp = min(max((i - low) / (high - low), 0), 1)
        expected = ramp * before / 4.0 + (1 - ramp) * before
        assert math.isclose(frequencies[i], expected, rel_tol=1e-12)
    assert frequencies[0] == 1
    assert math.isclose(frequencies[-1], plain(base, dim)[-1] / 4)
    assert math.isclose(magnitude, 0.1 * math.log(4) + 1)


def test_yarn_by_other_turns():
    narrow = {**YARN, "beta_fast": 16.0, "beta_slow": 2.0}
    wide, _ = scaled(YARN, 10000.0, 64)
    frequencies, _ = scaled(narrow, 10000.0, 64)
    before = np.array(plain(10000.0, 64))
    assert (frequencies == before).sum() > (wide == before).sum()
    assert (
        np.isclose(frequencies * 4, before).sum()
        > np.isclose(wide * 4, before).sum()
    )


def test_yarn_of_a_text_too_short_to_ramp():
    scaling = {**YARN, "original_max_position_embeddings": 5}
    frequencies, _ = scaled(scaling, 10000.0, 6)
    assert np.isfinite(frequencies).all()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"attention_factor": 0.75}, 0.75),
        ({"factor": 1.0}, 1.0),
        (
            {"mscale": 0.7, "mscale_all_dim": 0.5},
            (0.07 * math.log(4) + 1) / (0.05 * math.log(4) + 1),
        ),
        ({"mscale": 1.0, "mscale_all_dim": 1.0}, 1.0),
    ],
)
def test_yarn_magnitude(options, expected):
    _, magnitude = scaled({**YARN, **options}, 10000.0, 6)
    assert math.isclose(magnitude, expected)


def test_yarn_magnitude_scales_what_turns():
    encoding = RotaryPositionEncoding(rotary_dim=4, scaling=YARN)
    x = np.ones((1, 1, 1, 6), "float32")
    y, _ = encoding.rotate(x, x, np.array([[0]]))
    scale = 0.1 * math.log(4) + 1
    np.testing.assert_allclose(y[0, 0, 0], [scale] * 4 + [1, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("length", "factors"),
    [(7, LONGROPE["short_factor"]), (8, LONGROPE["long_factor"])],
)
def test_longrope(length, factors):
    frequencies, magnitude = scaled(LONGROPE, 10000.0, 6, length)
    expected = np.divide(plain(10000.0, 6), factors)
    np.testing.assert_allclose(frequencies, expected, rtol=1e-6)
    assert math.isclose(magnitude, math.sqrt(1 + math.log(3) / math.log(7)))


def test_longrope_goes_by_each_row():
    part = rotary_scaling.resolve(LONGROPE)
    rows = np.array([[0, 1, 2], [5, 6, 7]])
    frequencies = np.asarray(part.frequencies(10000.0, 6, rows))
    assert frequencies.shape == (2, 1, 3)
    ratio = np.divide(LONGROPE["long_factor"], LONGROPE["short_factor"])
    np.testing.assert_allclose(
        frequencies[0, 0] / frequencies[1, 0], ratio, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"attention_factor": 0.75}, 0.75), ({"factor": 1.0}, 1.0)],
)
def test_longrope_magnitude(options, expected):
    assert scaled({**LONGROPE, **options}, 10000.0, 6)[1] == expected


def test_longrope_with_factors_of_another_head():
    encoding = RotaryPositionEncoding(scaling=LONGROPE)
    x = np.ones((1, 1, 1, 8), "float32")
    with pytest.raises(ValueError, match=r"4 entries.*lengths=\[3, 3\]"):
        encoding.rotate(x, x, np.array([[0]]))


def test_longrope_survives_its_config():
    encoding = RotaryPositionEncoding(scaling=LONGROPE)
    again = RotaryPositionEncoding.from_config(encoding.get_config())
    assert again.get_config()["scaling"] == LONGROPE


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        ({"type": "longer", "factor": 2.0}, "'type' out of .*'longer'"),
        ({"factor": 2.0}, "'type' out of"),
        ({"type": ["linear"], "factor": 2.0}, "'type' out of"),
        ({"type": "linear", "factor": "2"}, "must be positive"),
        ({}, "'type' out of"),
        ({"type": "linear"}, r"lacks \['factor'\]"),
        (
            {"type": "linear", "factor": 2.0, "beta_fast": 32},
            r"unknown options \['beta_fast'\]",
        ),
        ({"type": "dynamic", "factor": 2.0}, "lacks .*original_max"),
        ({**LLAMA3, "truncate": True}, r"unknown options \['truncate'\]"),
        ({**YARN, "factor": 0}, r"\['factor'\] .* must be positive"),
        ({**LONGROPE, "long_factor": [1.0, 0.0, 1.0]}, "must be positive"),
        (
            {**LONGROPE, "original_max_position_embeddings": 1},
            "at least 2. .*embeddings=1",
        ),
        (
            {**LLAMA3, "high_freq_factor": 1.0},
            "low_freq_factor=1.0, high_freq_factor=1.0",
        ),
    ],
)
def test_wrong_options(scaling, message):
    with pytest.raises(ValueError, match=message):
        RotaryPositionEncoding(scaling=scaling)
