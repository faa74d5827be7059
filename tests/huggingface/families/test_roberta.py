"""RoBERTa and XLM-RoBERTa."""

import pytest

import keras_bigmodel as kbm
from tests.huggingface import family_checks
from tests.huggingface.conftest import change

pytestmark = pytest.mark.tensorflow


@family_checks.each_case("roberta", "xlm-roberta")
def test_outputs_and_round_trip(family, variant, unpack):
    family_checks.check_family(*unpack(family, variant))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"max_position_embeddings": 1}, "must be above 1"),
        ({"pad_token_id": None}, "must be an id"),
        ({"type_vocab_size": 0}, "a positive integer"),
    ],
)
def test_unsupported(entries, message, unpack):
    folder, _ = unpack("roberta", "trunk")
    change(folder, **entries)
    with pytest.raises(ValueError, match=message):
        kbm.huggingface.load(folder)
