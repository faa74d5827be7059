"""Every family against what transformers computed, without PyTorch."""

import keras
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.huggingface.families import FAMILIES
from keras_bigmodel.huggingface.tensor_file import SafetensorsFile
from tests.huggingface.cases import CASES, CAUSAL

pytestmark = pytest.mark.tensorflow

ALL = [(family, name) for family in CASES for name in CASES[family]]
IDS = [f"{family}-{name}" for family, name in ALL]
# One variant a family generates here, all of them in the parity run.
GENERATING = [(family, list(CASES[family])[-1]) for family in sorted(CAUSAL)]


def test_every_family_has_cases():
    assert set(CASES) == set(FAMILIES)
    assert all(len(variants) >= 3 for variants in CASES.values())


@pytest.mark.parametrize(("family", "variant"), ALL, ids=IDS)
def test_logits(family, variant, unpack):
    folder, expected = unpack(family, variant)
    model, tokenizer = kbm.huggingface.load(folder)
    assert tokenizer is None
    assert model.name == family
    logits = np.asarray(model(expected["token_ids"]))
    visible = expected["mask"]
    np.testing.assert_allclose(
        logits[visible], expected["logits"][visible], atol=1e-4, rtol=0
    )
    check_round_trip(model, folder)


def check_round_trip(model, folder):
    """Saved, a model is the checkpoint it came from; loaded, the same."""
    again = kbm.huggingface.save(model, None, folder / "again")
    before = SafetensorsFile(folder / "model.safetensors")
    after = SafetensorsFile(again / "model.safetensors")
    assert set(after.places) == set(before.places)
    for name in before.places:
        np.testing.assert_array_equal(
            after.read(name), before.read(name).astype("float32"), name
        )
    loaded, _ = kbm.huggingface.load(again)
    assert loaded.get_config() == model.get_config()


@pytest.mark.parametrize(("family", "variant"), GENERATING)
def test_greedy_generation(family, variant, unpack):
    folder, expected = unpack(family, variant)
    model, _ = kbm.huggingface.load(folder)
    prompts = [[3, 14, 15, 9, 26], [5, 3, 5]]
    continued = kbm.generate(
        model, prompts, max_new_tokens=expected["continued"].shape[1]
    )
    assert continued == expected["continued"].tolist()


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16", "float16"])
def test_other_precisions(dtype, unpack):
    folder, expected = unpack("llama", "grouped")
    model, _ = kbm.huggingface.load(folder, dtype=dtype)
    logits = model(expected["token_ids"])
    policy = keras.dtype_policies.get(dtype)
    assert keras.backend.standardize_dtype(logits.dtype) == policy.compute_dtype
    assert {w.dtype for w in model.weights} == {policy.variable_dtype}
    logits = np.asarray(keras.ops.cast(logits, "float32"))
    visible = expected["mask"]
    error = logits[visible] - expected["logits"][visible]
    assert np.sqrt(np.mean(error**2)) < 0.05
