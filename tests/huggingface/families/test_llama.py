"""Llama and its kin."""

import pytest

import keras_bigmodel as kbm
from tests.huggingface import family_checks
from tests.huggingface.conftest import change

pytestmark = pytest.mark.tensorflow


@family_checks.each_case("llama", "mistral", "mixtral", "qwen2", "qwen3")
def test_outputs_and_round_trip(family, variant, unpack):
    family_checks.check_family(*unpack(family, variant))


@family_checks.last_case("llama", "mistral", "mixtral", "qwen2", "qwen3")
def test_greedy_generation(family, variant, unpack):
    folder, expected = unpack(family, variant)
    family_checks.check_generation(folder, expected, family, variant)


def test_entries_of_both_generations(unpack):
    """transformers 4 kept the base and the scaling apart."""
    folder, expected = unpack("llama", "llama3")
    config = change(folder)
    scaling = config.pop("rope_parameters")
    theta = scaling.pop("rope_theta")
    change(folder, rope_parameters=None, rope_scaling=scaling, rope_theta=theta)
    family_checks.check_family(folder, expected)


def test_biases_on_some_projections_cannot_be_said():
    model = kbm.models.decoder_lm(
        11, 7, 1, 2, 8, 5, normalization="rms", gated=True,
        activation="silu", use_bias=False, attention_bias=["query"],
    )  # fmt: skip
    with pytest.raises(ValueError, match="llama: .*about all projections"):
        kbm.huggingface.save(model, None, "nowhere")


def test_quantised_checkpoints_are_refused(unpack):
    folder, _ = unpack("llama", "plain")
    change(folder, quantization_config={"bits": 4})
    with pytest.raises(ValueError, match="quantization_config is not known"):
        kbm.huggingface.load(folder)
