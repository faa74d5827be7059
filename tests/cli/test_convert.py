import json

import pytest

import keras_bigmodel as kbm
from keras_bigmodel import __main__

pytestmark = pytest.mark.tensorflow


def test_a_trained_model_becomes_a_checkpoint(trained, tmp_path, capsys):
    command = ["convert", "--from", str(trained), "--to", str(tmp_path)]
    assert __main__.main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["family"] == "llama"
    assert report["bytes"] == (tmp_path / "model.safetensors").stat().st_size
    model, tokenizer = kbm.huggingface.load(tmp_path)
    assert model.name == "llama"
    assert tokenizer.decode(tokenizer.encode(["Line 7"])) == ["Line 7"]
    assert __main__.main([*command, "--family", "bert"]) == 2
    assert "This is no model of `kbm.models.encoder`" in capsys.readouterr().err


def test_a_trained_model_keeps_its_dtype(trained, tmp_path, capsys):
    command = ["convert", "--from", str(trained), "--to", str(tmp_path)]
    assert __main__.main([*command, "--dtype", "bfloat16"]) == 2
    assert "Received: dtype=bfloat16" in capsys.readouterr().err
