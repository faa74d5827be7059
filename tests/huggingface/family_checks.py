"""What every family's test does: compare with what transformers computed.

Nothing here needs PyTorch: the fixtures hold what it computed.
"""

import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.huggingface.families import FAMILIES
from keras_bigmodel.huggingface.tensor_file import SafetensorsFile
from tests.huggingface.cases import CASES, CAUSAL, PROMPTS

TOLERANCE = 1e-4
# RoBERTa's one kind of segment is added to the positions, and T5's last scale
# takes in a factor.
FOLDED = {"decoder.final_layer_norm.weight"} | {
    f"{start}embeddings.{table}_embeddings.weight"
    for start in ("roberta.", "")
    for table in ("position", "token_type")
}


def each_case(*families):
    """Parametrises a test by family and variant."""
    cases = [(family, name) for family in families for name in CASES[family]]
    return pytest.mark.parametrize(("family", "variant"), cases)


def last_case(*families):
    """Parametrises a test by family and one variant of each.

    The parity tests take all.
    """
    cases = [(family, list(CASES[family])[-1]) for family in families]
    return pytest.mark.parametrize(("family", "variant"), cases)


def check_family(folder, expected):
    """Asserts outputs within 1e-4, and that the model can be saved.

    Returns:
        The largest difference of the outputs.
    """
    model, tokenizer = kbm.huggingface.load(folder)
    assert tokenizer is None
    outputs = outputs_of(model, expected)
    difference = max(
        np.abs(
            visible_part(values, expected["mask"])
            - visible_part(expected[name], expected["mask"])
        ).max()
        for name, values in outputs.items()
    )
    assert difference < TOLERANCE
    again = check_round_trip(model, folder)
    for name, values in outputs_of(again, expected).items():
        np.testing.assert_array_equal(values, outputs[name])
    return difference


def check_round_trip(model, folder):
    """Asserts that a saved model is the checkpoint that it came from."""
    again = kbm.huggingface.save(model, None, folder / "again")
    before = SafetensorsFile(folder / "model.safetensors")
    after = SafetensorsFile(again / "model.safetensors")
    # A trunk alone leaves out what all its names would begin with.
    family = FAMILIES[model.name]
    names = {
        name: name if name in after.places else family.prefix + name
        for name in before.places
    }
    added = set(family.copied)
    assert set(after.places) - added == set(names.values()) - added
    for name in set(names) - FOLDED:
        np.testing.assert_array_equal(
            after.read(names[name]), before.read(name).astype("float32"), name
        )
    return kbm.huggingface.load(again)[0]


def outputs_of(model, expected):
    """Returns a model's outputs for what transformers was given."""
    if "images" in expected:
        return {"logits": np.asarray(model(expected["images"]))}
    names = ("source_ids", "target_ids", "token_ids", "segment_ids")
    inputs = {name: expected[name] for name in names if name in expected}
    if list(inputs) == ["token_ids"]:
        inputs = inputs["token_ids"]
    outputs = model(inputs)
    if isinstance(outputs, dict):
        return {
            "logits": np.asarray(outputs["hidden_states"]),
            "pooled": np.asarray(outputs["pooled"]),
        }
    return {"logits": np.asarray(outputs)}


def visible_part(outputs, mask):
    """Returns the positions that hold text, of an output with positions."""
    if outputs.shape[:2] == mask.shape:
        return outputs[mask]
    if outputs.shape[0::2] == mask.shape:
        return outputs.transpose(0, 2, 1)[mask]
    return outputs


def check_generation(folder, expected, family, variant):
    """Asserts that the greedy continuation is the same, token by token."""
    model, _ = kbm.huggingface.load(folder)
    count = expected["continued"].shape[1]
    if family in CAUSAL:
        prompts = [list(row) for row in PROMPTS]
        continued = kbm.generate(model, prompts, max_new_tokens=count)
        assert continued == expected["continued"].tolist()
        return
    # Sources of one length: without a tokenizer nobody tells their padding.
    rows = expected["source_ids"], expected["mask"]
    sources = [row[mask].tolist() for row, mask in zip(*rows, strict=True)][1:]
    answers = kbm.generate(
        model,
        sources,
        max_new_tokens=count,
        start_id=CASES[family][variant]["decoder_start_token_id"],
    )
    assert answers == expected["continued"].tolist()[1:]
