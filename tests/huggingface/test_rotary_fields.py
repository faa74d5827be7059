"""The entries about rotary positions and windows."""

import pytest

from keras_bigmodel import layers
from keras_bigmodel.huggingface.rotary_fields import (
    Rotary,
    Windows,
    head_dim_of,
)

pytestmark = pytest.mark.tensorflow

SIZES = {
    "hidden_size": 16,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
}
SCALINGS = [
    {"rope_type": "default"},
    {"rope_type": "linear", "factor": 2.0},
    {"rope_type": "dynamic", "factor": 2.0},
    {
        "rope_type": "llama3",
        "factor": 2.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
    {
        "rope_type": "yarn",
        "factor": 2.0,
        "original_max_position_embeddings": 32,
    },
    {
        "rope_type": "longrope",
        "factor": 2.0,
        "original_max_position_embeddings": 32,
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
    },
]


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda s: s["rope_type"])
def test_both_generations_say_the_same(scaling):
    older = {**SIZES, "rope_theta": 500.0, "rope_scaling": scaling}
    newer = {**SIZES, "rope_parameters": {"rope_theta": 500.0, **scaling}}
    found = [Rotary().read(config) for config in (older, newer)]
    configs = [one["position_encoding"].get_config() for one in found]
    assert configs[0] == configs[1]
    assert configs[0]["base"] == 500
    options = {**found[0], "head_dim": 8}
    again = Rotary().read({**SIZES, **Rotary().write(options)})
    assert again["position_encoding"].get_config() == configs[0]


def test_dynamic_scaling_starts_from_the_configured_length():
    scaling = {"rope_type": "dynamic", "factor": 2.0}
    found = Rotary().read({**SIZES, "rope_scaling": scaling})
    assert found["max_sequence_length"] == 128
    written = Rotary().write({**found, "head_dim": 8})
    assert written["max_position_embeddings"] == 64


def test_the_length_before_longrope_stands_beside_it():
    scaling = {
        "rope_type": "longrope",
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
        "original_max_position_embeddings": 16,
    }
    found = Rotary().read({**SIZES, "rope_scaling": scaling})
    written = Rotary().write({**found, "head_dim": 8})
    assert written["original_max_position_embeddings"] == 16


def test_part_of_each_head():
    field = Rotary(partial=0.25, partial_key="rotary_pct")
    encoding = field.read(SIZES)["position_encoding"]
    assert encoding.rotary_dim == 2
    written = field.write({"position_encoding": encoding, "head_dim": 8})
    assert written["rotary_pct"] == 0.25


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"rope_theta": "1e4"}, "rope_theta must be a positive number"),
        ({"rope_scaling": [1]}, "an object or null"),
        ({"rope_scaling": {"factor": 2.0}}, r"\['factor'\] and no type"),
        ({"rope_scaling": {"rope_type": "linear"}}, r"lacks \['factor'\]"),
        (
            {
                "rope_scaling": {"rope_type": "yarn"},
                "max_position_embeddings": None,
            },
            "must be positive integers",
        ),
        (
            {"rope_scaling": {"rope_type": "llama3", "low_freq_factor": []}},
            "low_freq_factor must be a number",
        ),
        ({"partial_rotary_factor": -1}, "partial must be"),
    ],
)
def test_wrong_rotary(config, message):
    with pytest.raises(ValueError, match=message):
        Rotary().read({**SIZES, **config})


def test_other_encodings_cannot_be_written():
    alibi = layers.ALiBiPositionEncoding(2)
    with pytest.raises(ValueError, match="positions are rotary"):
        Rotary().write({"position_encoding": alibi, "head_dim": 8})


def test_head_dim():
    assert head_dim_of(SIZES) == 8
    assert head_dim_of({**SIZES, "head_dim": 5}) == 5
    with pytest.raises(ValueError, match="hidden_size must be"):
        head_dim_of({"num_attention_heads": 2})


@pytest.mark.parametrize(
    ("field", "config", "windows"),
    [
        (Windows(), {}, [None] * 4),
        (Windows(), {"sliding_window": 3}, [3] * 4),
        (Windows(default=5), {}, [5] * 4),
        (Windows(default=5, switch="use"), {}, [None] * 4),
        (
            Windows(default=5, switch="use", from_block="first"),
            {"use": True, "first": 1},
            [None, 5, 5, 5],
        ),
        (Windows(default=5, pattern=2), {}, [5, None, 5, None]),
        (
            Windows(default=5, pattern=2, pattern_keys=("every",)),
            {"every": 3},
            [5, 5, None, 5],
        ),
        (
            Windows(default=5),
            {"layer_types": ["full_attention"] * 3 + ["sliding_attention"]},
            [None, None, None, 5],
        ),
    ],
)
def test_windows(field, config, windows):
    config = {"num_hidden_layers": 4, **config}
    assert field.read(config) == {"sliding_window": windows}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_hidden_layers": 10**9}, "from 1 to 100000"),
        ({"sliding_window": -1}, "a positive integer or null"),
        ({"layer_types": ["full_attention"]}, "must have 2 entries"),
        ({"layer_types": ["full_attention", 3]}, "must be sliding_attention"),
    ],
)
def test_wrong_windows(config, message):
    with pytest.raises(ValueError, match=message):
        Windows().read({"num_hidden_layers": 2, **config})


def test_windows_that_cannot_be_written():
    with pytest.raises(ValueError, match="one size of window"):
        Windows().write({"sliding_window": [3, 5]})
    with pytest.raises(ValueError, match="in all blocks or none"):
        Windows().write({"sliding_window": [3, None]})
    patterned = Windows(pattern=2).write({"sliding_window": [3, None]})
    assert patterned == {
        "sliding_window": 3,
        "layer_types": ["sliding_attention", "full_attention"],
    }
