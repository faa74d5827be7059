"""Adapters in PEFT's format."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import keras_bigmodel as kbm

pytestmark = pytest.mark.tensorflow

IDS = np.array([[3, 5, 7, 11]])


@pytest.fixture
def adapted(unpack):
    """A model with random adapters, and a second one without."""
    folder, _ = unpack("llama", "grouped")
    model, _ = kbm.huggingface.load(folder)
    kbm.lora(model, 3, targets=["query", "down"], alpha=6.0)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    return model, kbm.huggingface.load(folder)[0]


def test_there_and_back(adapted, tmp_path):
    model, other = adapted
    kbm.huggingface.save_adapters(model, tmp_path)
    kbm.huggingface.load_adapters(other, tmp_path)
    np.testing.assert_array_equal(other(IDS), model(IDS))
    assert len(other.trainable_variables) == len(model.trainable_variables)


def test_names_and_shapes_are_those_of_peft(adapted, tmp_path):
    kbm.huggingface.save_adapters(adapted[0], tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    start = "base_model.model.model.layers.1."
    assert tensors[f"{start}self_attn.q_proj.lora_A.weight"].shape == (3, 16)
    assert tensors[f"{start}self_attn.q_proj.lora_B.weight"].shape == (16, 3)
    assert tensors[f"{start}mlp.down_proj.lora_A.weight"].shape == (3, 20)
    assert len(tensors) == 8
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["r"] == 3
    assert config["lora_alpha"] == 6
    assert config["target_modules"] == ["down_proj", "q_proj"]


def test_a_model_with_adapters_is_not_saved_without_them(adapted, tmp_path):
    with pytest.raises(ValueError, match="merge_lora"):
        kbm.huggingface.save(adapted[0], None, tmp_path)
    kbm.merge_lora(adapted[0])
    kbm.huggingface.save(adapted[0], None, tmp_path)
    merged, _ = kbm.huggingface.load(tmp_path)
    np.testing.assert_array_equal(merged(IDS), adapted[0](IDS))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type must be LORA"),
        ({"bias": "all"}, "bias must be none"),
        ({"r": 0}, "r must be a positive integer"),
        ({"lora_alpha": "a"}, "lora_alpha must be a number"),
        ({"use_dora": True}, "use_dora is not supported"),
        ({"rank_pattern": {"q_proj": 5}}, "rank_pattern is not supported"),
    ],
)
def test_options_that_are_not_supported(entries, message, adapted, tmp_path):
    kbm.huggingface.save_adapters(adapted[0], tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
    with pytest.raises(ValueError, match=message):
        kbm.huggingface.load_adapters(adapted[1], tmp_path)


def test_what_peft_writes_of_options_that_are_off(adapted, tmp_path):
    kbm.huggingface.save_adapters(adapted[0], tmp_path)
    path = tmp_path / "adapter_config.json"
    more = {"megatron_core": "megatron.core", "qalora_group_size": 16}
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))
    kbm.huggingface.load_adapters(adapted[1], tmp_path)
    np.testing.assert_allclose(adapted[1](IDS), adapted[0](IDS), atol=1e-5)


def test_wrong_tensors_are_all_named(adapted, tmp_path):
    model, other = adapted
    before = np.asarray(other(IDS))
    kbm.huggingface.save_adapters(model, tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    tensors = load_file(path)
    start = "base_model.model.model.layers.1.self_attn.q_proj.lora_"
    del tensors[f"{start}A.weight"]
    tensors[f"{start}B.weight"] = np.zeros((3, 5), "float32")
    tensors[f"{start}C.weight"] = np.zeros(3, "float32")
    save_file(tensors, path)
    with pytest.raises(ValueError) as caught:
        kbm.huggingface.load_adapters(other, tmp_path)
    for kind in ("missing", "surplus", "misshaped"):
        assert f"{kind}: {start}" in str(caught.value)
    np.testing.assert_array_equal(other(IDS), before)


def test_adapters_of_another_model(adapted, tmp_path, unpack):
    kbm.huggingface.save_adapters(adapted[0], tmp_path)
    folder, _ = unpack("gpt2", "plain")
    model, _ = kbm.huggingface.load(folder)
    with pytest.raises(ValueError, match="belong to nothing in a gpt2"):
        kbm.huggingface.load_adapters(model, tmp_path)


def test_joined_projections_have_one_adapter(unpack, tmp_path):
    folder, _ = unpack("gpt2", "plain")
    model = kbm.lora(kbm.huggingface.load(folder)[0], 2, targets=["query"])
    with pytest.raises(ValueError, match="in one tensor"):
        kbm.huggingface.save_adapters(model, tmp_path)
