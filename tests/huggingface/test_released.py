"""The config.json of releases: every entry known, every size right."""

import pytest

from keras_bigmodel.huggingface.families import FAMILIES
from keras_bigmodel.huggingface.load import find_family
from keras_bigmodel.huggingface.weights import build_empty
from tests.huggingface.released import RELEASED

pytestmark = pytest.mark.tensorflow

# As the model cards, or transformers, count them; BLOOM's and Qwen's tie.
PARAMETERS = {
    "gpt2": 124_439_808,
    "SmolLM2-135M": 134_515_008,
    "Llama-3.2-1B-Instruct": 1_235_814_400,
    "Qwen2.5-0.5B": 494_032_768,
    "pythia-70m": 70_426_624,
    "bloom-560m": 559_214_592,
    "bert-base-uncased": 109_514_298,
    "vit-base-patch16-224": 86_567_656,
    "deit-base-distilled-patch16-224": 87_338_192,
}


def test_there_is_one_of_each_family():
    kinds = {config["model_type"] for config in RELEASED.values()}
    assert kinds == set(FAMILIES)


@pytest.mark.parametrize("name", RELEASED)
def test_every_entry_is_known(name):
    config = RELEASED[name]
    options = find_family(config).options(config)
    assert options["num_layers"] > 0


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    family = find_family(RELEASED[name])
    options = family.options(RELEASED[name])
    model = build_empty(lambda: family.build(**options, name="released"))
    assert model.count_params() == PARAMETERS[name]
