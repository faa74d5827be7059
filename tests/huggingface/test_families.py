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
# RoBERTa's one kind of segment is added to the positions, and T5's last scale
# takes in a factor.
FOLDED = {"decoder.final_layer_norm.weight"} | {
    f"{start}embeddings.{table}_embeddings.weight"
    for start in ("roberta.", "")
    for table in ("position", "token_type")
}
GENERATING = [(family, list(CASES[family])[-1]) for family in sorted(CAUSAL)]


def test_every_family_has_cases():
    assert set(CASES) == set(FAMILIES)
    assert all(len(variants) >= 3 for variants in CASES.values())


def outputs_of(model, expected):
    """What a model gives for the inputs that transformers was given."""
    if "source_ids" in expected:
        names = ("source_ids", "target_ids")
        inputs = {name: expected[name] for name in names}
        return {"logits": np.asarray(model(inputs))}
    if "images" in expected:
        return {"logits": np.asarray(model(expected["images"]))}
    inputs = expected["token_ids"]
    if "segment_ids" in expected:
        inputs = {"token_ids": inputs, "segment_ids": expected["segment_ids"]}
    outputs = model(inputs)
    if isinstance(outputs, dict):
        return {
            "logits": np.asarray(outputs["hidden_states"]),
            "pooled": np.asarray(outputs["pooled"]),
        }
    return {"logits": np.asarray(outputs)}


def visible_part(outputs, mask):
    """The positions that hold text, of an output with positions."""
    if outputs.shape[:2] == mask.shape:
        return outputs[mask]
    if outputs.shape[0::2] == mask.shape:
        return outputs.transpose(0, 2, 1)[mask]
    return outputs


@pytest.mark.parametrize(("family", "variant"), ALL, ids=IDS)
def test_logits(family, variant, unpack):
    folder, expected = unpack(family, variant)
    model, tokenizer = kbm.huggingface.load(folder)
    assert tokenizer is None
    assert model.name == family
    outputs = outputs_of(model, expected)
    for name, values in outputs.items():
        np.testing.assert_allclose(
            visible_part(values, expected["mask"]),
            visible_part(expected[name], expected["mask"]),
            atol=1e-4,
            rtol=0,
        )
    again = check_round_trip(model, folder)
    for name, values in outputs_of(again, expected).items():
        np.testing.assert_array_equal(values, outputs[name])


def check_round_trip(model, folder):
    """Saved, a model is the checkpoint it came from; loaded, the same."""
    again = kbm.huggingface.save(model, None, folder / "again")
    before = SafetensorsFile(folder / "model.safetensors")
    after = SafetensorsFile(again / "model.safetensors")
    # A trunk alone leaves out what all its names would begin with.
    prefix = FAMILIES[model.name].prefix
    names = {
        name: name if name in after.places else prefix + name
        for name in before.places
    }
    added = set(FAMILIES[model.name].copied)
    assert set(after.places) - added == set(names.values()) - added
    for name in set(names) - FOLDED:
        np.testing.assert_array_equal(
            after.read(names[name]),
            before.read(name).astype("float32"),
            name,
        )
    return kbm.huggingface.load(again)[0]


@pytest.mark.parametrize(("family", "variant"), GENERATING)
def test_greedy_generation(family, variant, unpack):
    folder, expected = unpack(family, variant)
    model, _ = kbm.huggingface.load(folder)
    prompts = [[3, 14, 15, 9, 26], [5, 3, 5]]
    continued = kbm.generate(
        model, prompts, max_new_tokens=expected["continued"].shape[1]
    )
    assert continued == expected["continued"].tolist()


@pytest.mark.parametrize("family", ["t5", "bart", "marian"])
def test_greedy_answers(family, unpack):
    variant = list(CASES[family])[-1]
    folder, expected = unpack(family, variant)
    model, _ = kbm.huggingface.load(folder)
    sources = [
        row[mask].tolist()
        for row, mask in zip(
            expected["source_ids"], expected["mask"], strict=True
        )
    ][1:]
    answers = kbm.generate(
        model,
        sources,
        max_new_tokens=expected["continued"].shape[1],
        start_id=CASES[family][variant]["decoder_start_token_id"],
    )
    assert answers == expected["continued"].tolist()[1:]


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
