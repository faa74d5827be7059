"""Files are data: whatever they say, a clean ValueError or a good model."""

import json
import os
import resource
import time

import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.huggingface.tensor_file import SafetensorsFile
from tests.huggingface import hostile
from tests.huggingface.conftest import change

pytestmark = pytest.mark.tensorflow

SECONDS = 5
MEGABYTES = 256


@pytest.fixture
def bounded():
    """Fails a test that takes more than 5 s or 256 MB."""
    before = peak()
    start = time.perf_counter()
    yield
    assert time.perf_counter() - start < SECONDS
    assert peak() - before < MEGABYTES


def peak():
    """The most memory this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.fixture
def good(unpack):
    """A good checkpoint's folder."""
    return unpack("llama", "plain")[0]


def test_there_are_enough():
    hand_made = (hostile.FILES, hostile.CONFIGS, hostile.INDEXES)
    assert len(hostile.FILES) >= 40
    assert sum(map(len, hand_made)) >= 100


@pytest.mark.parametrize("name", hostile.FILES)
def test_files(name, tmp_path, bounded):
    path = tmp_path / "model.safetensors"
    path.write_bytes(hostile.FILES[name])
    with pytest.raises(ValueError, match="Received: "):
        SafetensorsFile(path)


@pytest.mark.parametrize("name", hostile.CONFIGS)
def test_configs(name, good, bounded):
    path = good / "config.json"
    config = {**json.loads(path.read_text()), **hostile.CONFIGS[name]}
    config = {k: v for k, v in config.items() if v is not None}
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="Received: "):
        kbm.huggingface.load(good)


@pytest.mark.parametrize("name", hostile.INDEXES)
def test_indexes(name, good, bounded):
    os.rename(good / "model.safetensors", good / "shard.safetensors")
    (good.parent / "model.safetensors").write_bytes(
        (good / "shard.safetensors").read_bytes()
    )
    (good / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    os.symlink("/etc/passwd", good / "link.safetensors")
    index = good / "model.safetensors.index.json"
    index.write_text(hostile.INDEXES[name])
    with pytest.raises(ValueError, match="Received: "):
        kbm.huggingface.load(good)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(value, good):
    file = SafetensorsFile(good / "model.safetensors")
    place = file.places["model.norm.weight"]
    content = bytearray((good / "model.safetensors").read_bytes())
    bad = np.array([value], place.dtype).tobytes()
    content[place.start : place.start + len(bad)] = bad
    (good / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="NaN or infinity.*model.norm.weight"):
        kbm.huggingface.load(good)
    model, _ = kbm.huggingface.load(good, allow_nonfinite=True)
    scale = model.get_layer("final_normalization").scale.numpy()
    np.testing.assert_equal(scale[0], value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_links_out_of_the_folder(name, good, tmp_path):
    os.rename(good / name, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", good / name)
    with pytest.raises(ValueError, match="must be in its folder"):
        kbm.huggingface.load(good)


def test_links_that_go_round(good):
    os.unlink(good / "config.json")
    os.symlink("config.json", good / "config.json")
    with pytest.raises(ValueError, match="Received: "):
        kbm.huggingface.load(good)


def test_links_into_the_cache_of_the_hub(good, tmp_path):
    """The hub's snapshots are links to blobs beside them."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        os.rename(good / name, blobs / name)
        os.symlink(f"../../blobs/{name}", snapshot / name)
    model, _ = kbm.huggingface.load(snapshot)
    assert model.name == "llama"


def test_all_wrong_tensors_are_named(good, tmp_path):
    file = SafetensorsFile(good / "model.safetensors")
    tensors = {name: file.read(name) for name in file.places}
    del tensors["lm_head.weight"]
    del tensors["model.layers.1.self_attn.q_proj.weight"]
    tensors["model.norm.weight"] = tensors["model.norm.weight"][1:]
    tensors["model.norm.bias"] = np.zeros(16, "float32")
    tensors["model.layers.0.mlp.up_proj.weight"] = np.zeros((20, 16), "int32")
    from safetensors.numpy import save_file

    tensors = {
        name: np.ascontiguousarray(value.astype("float32"))
        if value.dtype.kind != "i"
        else value
        for name, value in tensors.items()
    }
    save_file(tensors, good / "model.safetensors")
    with pytest.raises(ValueError) as caught:
        kbm.huggingface.load(good)
    message = str(caught.value)
    for problem in (
        "missing: lm_head.weight",
        "missing: model.layers.1.self_attn.q_proj.weight",
        "surplus: model.norm.bias",
        "misshaped: model.norm.weight is [15], must be [16]",
        "not floating point: model.layers.0.mlp.up_proj.weight",
        "Received: 5 tensors",
    ):
        assert problem in message


def test_all_wrong_entries_are_named(good):
    path = good / "config.json"
    config = json.loads(path.read_text())
    config.update(mystery=1, hidden_act="tan", num_hidden_layers="two")
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError) as caught:
        kbm.huggingface.load(good)
    for problem in ("mystery", "hidden_act", "num_hidden_layers"):
        assert problem in str(caught.value)


def test_mutated(good, tmp_path):
    """As `benchmarks/hostile_checkpoints.py` does 5,000 times."""
    files = {path.name: path.read_bytes() for path in good.iterdir()}
    refused = 0
    for seed in range(200):
        start = time.perf_counter()
        hostile.write_mutated(tmp_path, files, seed)
        try:
            kbm.huggingface.load(tmp_path)
        except ValueError as error:
            assert "Received: " in str(error)
            refused += 1
        assert time.perf_counter() - start < SECONDS
    assert refused > 150


# What random changes have found: entries of other families than Llama's.
FOUND = {
    "decoder layers beyond reason": ("t5", {"num_decoder_layers": 2**31}),
    "architectures a number": ("bert", {"architectures": 2**31}),
    "architectures an object": ("bert", {"architectures": {"0": "BertModel"}}),
    "architectures of DeiT a number": ("deit", {"architectures": 7}),
    "labels beyond reason": ("vit", {"id2label": None, "num_labels": 2**40}),
    "patches beyond reason": ("vit", {"patch_size": 2**31}),
}


@pytest.mark.parametrize("name", FOUND)
def test_configs_of_other_families(name, unpack, bounded):
    family, entries = FOUND[name]
    folder, _ = unpack(family, "plain" if family != "bert" else "trunk")
    change(folder, **entries)
    with pytest.raises(ValueError, match="Received: "):
        kbm.huggingface.load(folder)
