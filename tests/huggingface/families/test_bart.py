"""BART and Marian."""

import pytest

import keras_bigmodel as kbm
from tests.huggingface import family_checks
from tests.huggingface.conftest import change

pytestmark = pytest.mark.tensorflow


@family_checks.each_case("bart", "marian")
def test_outputs_and_round_trip(family, variant, unpack):
    family_checks.check_family(*unpack(family, variant))


@family_checks.last_case("bart", "marian")
def test_greedy_generation(family, variant, unpack):
    folder, expected = unpack(family, variant)
    family_checks.check_generation(folder, expected, family, variant)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"decoder_attention_heads": 3}, "must be equal"),
        ({"normalize_before": True}, "as False alone"),
        ({"pad_token_id": None}, "must be an id"),
    ],
)
def test_unsupported(entries, message, unpack):
    folder, _ = unpack("bart", "plain")
    change(folder, **entries)
    with pytest.raises(ValueError, match=message):
        kbm.huggingface.load(folder)
