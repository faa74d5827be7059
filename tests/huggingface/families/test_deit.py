"""DeiT, with one classifier and with two."""

import numpy as np
import pytest

import keras_bigmodel as kbm
from tests.huggingface import family_checks

pytestmark = pytest.mark.tensorflow


@family_checks.each_case("deit")
def test_outputs_and_round_trip(family, variant, unpack):
    family_checks.check_family(*unpack(family, variant))


def test_both_tokens_count(unpack):
    folder, expected = unpack("deit", "teacher")
    model, _ = kbm.huggingface.load(folder)
    model.get_layer("distillation_logits").bias.assign_add(np.ones(5))
    changed = family_checks.outputs_of(model, expected)["logits"]
    np.testing.assert_allclose(changed, expected["logits"] + 0.5, atol=1e-4)


def test_without_a_class_token_it_is_no_deit():
    model = kbm.models.vit_classifier((8, 8, 1), 3, 4, 1, 2, 8, pooling="mean")
    with pytest.raises(ValueError, match="has a class token"):
        kbm.huggingface.save(model, None, "nowhere", family="deit")
