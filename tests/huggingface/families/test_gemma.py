"""Gemma 1, 2 and 3."""

import pytest

import keras_bigmodel as kbm
from tests.huggingface import family_checks
from tests.huggingface.conftest import change

pytestmark = pytest.mark.tensorflow


@family_checks.each_case("gemma", "gemma2", "gemma3_text")
def test_outputs_and_round_trip(family, variant, unpack):
    family_checks.check_family(*unpack(family, variant))


@family_checks.last_case("gemma", "gemma2", "gemma3_text")
def test_greedy_generation(family, variant, unpack):
    folder, expected = unpack(family, variant)
    family_checks.check_generation(folder, expected, family, variant)


def test_the_first_releases_said_gelu(unpack):
    """They meant the tanh form."""
    folder, expected = unpack("gemma", "plain")
    change(folder, hidden_act="gelu", hidden_activation=None)
    family_checks.check_family(folder, expected)


def test_entries_of_the_older_generation(unpack):
    folder, expected = unpack("gemma3_text", "scaled")
    change(
        folder,
        rope_parameters=None,
        rope_theta=1000.0,
        rope_local_base_freq=50.0,
        rope_scaling={"rope_type": "linear", "factor": 8.0},
    )
    family_checks.check_family(folder, expected)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"query_pre_attn_scalar": 0}, "a number above 0"),
        ({"rope_parameters": {"some_attention": {}}}, "must have"),
        ({"layer_types": ["full_attention"]}, "must have 2 entries"),
        ({"layer_types": ["a", "b"]}, "must be sliding_attention"),
        ({"sliding_window": None}, "for layer_types has windows"),
        ({"use_bidirectional_attention": True}, "as False alone"),
    ],
)
def test_unsupported(entries, message, unpack):
    folder, _ = unpack("gemma3_text", "plain")
    change(folder, **entries)
    with pytest.raises(ValueError, match=message):
        kbm.huggingface.load(folder)
