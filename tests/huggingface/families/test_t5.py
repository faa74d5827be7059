"""T5."""

import pytest

import keras_bigmodel as kbm
from tests.huggingface import family_checks
from tests.huggingface.conftest import change

pytestmark = pytest.mark.tensorflow


@family_checks.each_case("t5")
def test_outputs_and_round_trip(family, variant, unpack):
    family_checks.check_family(*unpack(family, variant))


@family_checks.last_case("t5")
def test_greedy_generation(family, variant, unpack):
    folder, expected = unpack(family, variant)
    family_checks.check_generation(folder, expected, family, variant)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"feed_forward_proj": "gated-tan"}, "one of"),
        ({"relative_attention_num_buckets": "a"}, "positive integers"),
    ],
)
def test_unsupported(entries, message, unpack):
    folder, _ = unpack("t5", "plain")
    change(folder, **entries)
    with pytest.raises(ValueError, match=message):
        kbm.huggingface.load(folder)
