"""Loading: folders, repositories, precisions, tokenizers, memory."""

import sys
import types

import keras
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.huggingface.load import find_folder
from tests.cli import checkpoints
from tests.huggingface import family_checks
from tests.huggingface.conftest import change

pytestmark = pytest.mark.tensorflow


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


def test_a_loaded_model_is_a_keras_model(unpack, tmp_path):
    """It trains, saves and loads as any other, with its states in place."""
    folder, expected = unpack("mixtral", "plain")
    model, _ = kbm.huggingface.load(folder)
    before = family_checks.outputs_of(model, expected)["logits"]
    path = tmp_path / "model.keras"
    model.save(path)
    again = keras.saving.load_model(path)
    after = family_checks.outputs_of(again, expected)["logits"]
    np.testing.assert_array_equal(after, before)
    assert kbm.huggingface.save(again, None, tmp_path / "saved").is_dir()
    model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    token_ids = expected["token_ids"]
    losses = model.fit(token_ids, token_ids, epochs=8, verbose=0)
    assert losses.history["loss"][-1] < losses.history["loss"][0]


def test_the_tokenizer_comes_along(unpack):
    folder, _ = unpack("gpt2", "plain")
    text = ["the sea is deep, the sea is wide"] * 3
    tokenizer = kbm.text.BytePairTokenizer.train(text, vocabulary_size=270)
    tokenizer.save(folder)
    _, loaded = kbm.huggingface.load(folder)
    assert loaded.encode(text) == tokenizer.encode(text)


def test_a_wrong_tokenizer_is_an_error(unpack):
    folder, _ = unpack("gpt2", "plain")
    (folder / "tokenizer.json").write_text('{"model": {"type": "Magic"}}')
    with pytest.raises(ValueError, match="Magic"):
        kbm.huggingface.load(folder)


@pytest.mark.parametrize("name", ["no/such/folder", "a b", "", "a\0b", "/x/y"])
def test_neither_folder_nor_repository(name):
    with pytest.raises(ValueError, match="no such folder.*Received: "):
        find_folder(name)


def test_a_repository_is_fetched_without_code(monkeypatch, tmp_path):
    asked = []

    def snapshot_download(name, allow_patterns):
        asked.append((name, {one.rpartition(".")[2] for one in allow_patterns}))
        return str(tmp_path)

    hub = types.ModuleType("huggingface_hub")
    hub.__spec__ = types.SimpleNamespace()
    hub.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert find_folder("owner/name") == tmp_path
    kinds = {"json", "safetensors", "txt", "model"}
    # Without safetensors the file of old TensorFlow releases is asked for.
    assert asked == [("owner/name", kinds), ("owner/name", {*kinds, "h5"})]
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert find_folder("owner/name") == tmp_path
    assert asked[2:] == [("owner/name", kinds)]


def test_a_failed_fetch_says_why(monkeypatch):
    def snapshot_download(name, allow_patterns):
        raise OSError("no network")

    hub = types.ModuleType("huggingface_hub")
    hub.__spec__ = types.SimpleNamespace()
    hub.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(ValueError, match="OSError: no network"):
        find_folder("owner/name")


def test_without_the_hub(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"install keras-bigmodel\[hub\]"):
        find_folder("owner/name")


def test_progress_is_told(unpack):
    folder, _ = unpack("gpt2", "plain")
    told = []
    kbm.huggingface.load(folder, progress=lambda *counts: told.append(counts))
    total = len(told)
    assert told == [(done, total) for done in range(1, total + 1)]
    assert total > 20


def test_a_decoder_begins_as_its_checkpoint_says(tmp_path):
    folder = checkpoints.save_checkpoint("encoder_decoder", tmp_path)
    model, tokenizer = kbm.huggingface.load(folder)
    assert tokenizer.start_id == 0
    answers = kbm.generate(model, ["to be"], tokenizer, max_new_tokens=3)
    assert answers == kbm.generate(
        model, ["to be"], tokenizer, max_new_tokens=3, start_id=0
    )
    change(folder, decoder_start_token_id=5)
    assert kbm.huggingface.load(folder)[1].start_id == 5
    for wrong in (-1, 10**6, "a", True):
        change(folder, decoder_start_token_id=wrong)
        with pytest.raises(ValueError, match="decoder_start_token_id must be"):
            kbm.huggingface.load(folder)
