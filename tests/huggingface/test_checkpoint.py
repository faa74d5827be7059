"""A checkpoint's folder, of one file or several."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_bigmodel as kbm
from keras_bigmodel.huggingface.checkpoint import Checkpoint
from tests.huggingface import family_checks
from tests.huggingface.conftest import tensors_of

pytestmark = pytest.mark.tensorflow


def split(folder):
    """Makes three files and their index of one."""
    tensors = {k: v.astype("float32") for k, v in tensors_of(folder).items()}
    places = {}
    for number in range(3):
        name = f"model-{number + 1:05}-of-00003.safetensors"
        part = {k: tensors[k] for k in sorted(tensors)[number::3]}
        save_file(part, folder / name)
        places.update(dict.fromkeys(part, name))
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return tensors


def test_several_files(unpack):
    folder, expected = unpack("qwen2", "plain")
    tensors = split(folder)
    checkpoint = Checkpoint(folder)
    assert set(checkpoint.places) == set(tensors)
    for name, value in tensors.items():
        np.testing.assert_array_equal(checkpoint.read(name), value)
        checkpoint.release(name)
    model, _ = kbm.huggingface.load(folder)
    outputs = family_checks.outputs_of(model, expected)["logits"]
    visible = expected["mask"]
    np.testing.assert_allclose(
        outputs[visible], expected["logits"][visible], atol=1e-4
    )


def test_a_tensor_in_two_files(unpack):
    folder, _ = unpack("qwen2", "plain")
    split(folder)
    first = folder / "model-00001-of-00003.safetensors"
    second = folder / "model-00002-of-00003.safetensors"
    second.write_bytes(first.read_bytes())
    with pytest.raises(ValueError, match="Two files hold the same tensor"):
        Checkpoint(folder)


def test_only_safetensors_are_read(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match="only safetensors are read"):
        Checkpoint(tmp_path)


def test_no_config(tmp_path):
    with pytest.raises(ValueError, match="no such file.*config.json"):
        Checkpoint(tmp_path)
