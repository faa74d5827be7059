"""Saving: which family says a model, and what it leaves on the disk."""

import json

import keras
import pytest

import keras_bigmodel as kbm

pytestmark = pytest.mark.tensorflow

LLAMA = {
    "normalization": "rms",
    "gated": True,
    "activation": "silu",
    "use_bias": False,
}


def decoder(**options):
    return kbm.models.decoder_lm(11, 7, 1, 2, 8, 5, **options)


@pytest.mark.parametrize(
    ("options", "family"),
    [
        ({"position_encoding": "learned"}, "gpt2"),
        (LLAMA, "llama"),
        ({**LLAMA, "tie_embeddings": False}, "llama"),
        ({**LLAMA, "sliding_window": 3}, "mistral"),
        ({**LLAMA, "num_experts": 3}, "mixtral"),
        ({**LLAMA, "attention_bias": ("query", "key", "value")}, "qwen2"),
        ({**LLAMA, "query_key_normalization": "rms"}, "qwen3"),
        ({"parallel": True}, "gpt_neox"),
    ],
)
def test_a_model_from_scratch(options, family, tmp_path):
    model = decoder(**options)
    kbm.huggingface.save(model, None, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model_type"] == family
    loaded, _ = kbm.huggingface.load(tmp_path)
    ids = keras.ops.array([[3, 5, 7]])
    difference = keras.ops.max(keras.ops.abs(loaded(ids) - model(ids)))
    assert float(difference) == 0


def test_a_loaded_model_keeps_its_family(unpack, tmp_path):
    """Without a window Mistral is Llama, but for its name."""
    folder, _ = unpack("mistral", "plain")
    model, _ = kbm.huggingface.load(folder)
    kbm.huggingface.save(model, None, tmp_path / "again")
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config["model_type"] == "mistral"
    kbm.huggingface.save(model, None, tmp_path / "other", family="llama")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    assert config["model_type"] == "llama"


def test_the_tokenizer_goes_along(tmp_path):
    text = ["the sea is deep, the sea is wide"] * 3
    tokenizer = kbm.text.BytePairTokenizer.train(text, vocabulary_size=270)
    model = kbm.models.decoder_lm(
        tokenizer.vocabulary_size, 7, 1, 2, 8, position_encoding="learned"
    )
    kbm.huggingface.save(model, tokenizer, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["eos_token_id"] == tokenizer.end_id
    _, loaded = kbm.huggingface.load(tmp_path)
    assert loaded.encode(text) == tokenizer.encode(text)


def test_bfloat16(unpack, tmp_path):
    folder, _ = unpack("qwen3", "plain")
    model, _ = kbm.huggingface.load(folder, dtype="bfloat16")
    kbm.huggingface.save(model, None, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes()[8:].count(b"BF16")
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["torch_dtype"] == "bfloat16"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_sinks": True}, "use_sinks"),
        ({**LLAMA, "normalize_branch": True}, "normalize_branch"),
        ({**LLAMA, "activation": "gelu", "gated": False}, "gated"),
    ],
)
def test_what_no_family_can_say(options, message, tmp_path):
    with pytest.raises(ValueError, match=f"No family .*{message}"):
        kbm.huggingface.save(decoder(**options), None, tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_models(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="This is no model of"):
        kbm.huggingface.save(model, None, tmp_path)


def test_unknown_family(tmp_path):
    with pytest.raises(ValueError, match="Received: family='gpt17'"):
        kbm.huggingface.save(decoder(), None, tmp_path, family="gpt17")


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    model = decoder(position_encoding="learned")
    with pytest.raises(ValueError, match="saved into a folder"):
        kbm.huggingface.save(model, None, path)
