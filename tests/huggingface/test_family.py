"""The table of families as a whole."""

import re

import pytest

from keras_bigmodel.huggingface.families import FAMILIES
from tests.huggingface.cases import CASES

pytestmark = pytest.mark.tensorflow


def test_every_family_is_compared_in_three_variants():
    assert set(CASES) == set(FAMILIES)
    assert all(len(variants) >= 3 for variants in CASES.values())


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_of_the_table(name):
    family = FAMILIES[name]
    assert family.model_type == name
    keys = [key for field in family.all_fields for key in field.keys]
    assert "model_type" in keys
    for pattern in (*family.ignored, *(old for old, _ in family.renamed)):
        re.compile(pattern)
    if family.prefix:
        assert family.prefix.endswith(".")


def test_an_architecture_of_another_family():
    with pytest.raises(ValueError, match="architectures must be of"):
        FAMILIES["llama"].options({"architectures": ["GPT2LMHeadModel"]})
