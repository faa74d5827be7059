"""T5."""

import json

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


@family_checks.each_case("t5", "bart", "marian")
def test_what_answers_begin_with_is_written(family, variant, unpack, tmp_path):
    folder, _ = unpack(family, variant)
    before = json.loads((folder / "config.json").read_text())
    model, _ = kbm.huggingface.load(folder)
    kbm.huggingface.save(model, None, tmp_path / "again")
    after = json.loads((tmp_path / "again" / "config.json").read_text())
    key = "decoder_start_token_id"
    assert after[key] == before[key]
