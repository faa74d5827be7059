import json

import pytest

import keras_bigmodel as kbm
from keras_bigmodel import __main__

pytestmark = pytest.mark.tensorflow


def test_costs_for_people_and_for_scripts(trained, capsys):
    command = ["inspect", "--model", str(trained), "--context", "7"]
    assert __main__.main(command) == 0
    told = capsys.readouterr().out
    assert "decoder_block_0" in told and "GFLOP for a joule" in told
    assert __main__.main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["context"] == 7
    assert report["cache_bytes_per_token"] == 2 * 32 * 4
    assert report["cache_bytes_for_context"] == 7 * 2 * 32 * 4
    cached = report["serving_bytes"] - report["weight_bytes"]
    assert cached == report["cache_bytes_for_context"]
    assert report["training_bytes"] > 4 * report["weight_bytes"]
    assert report["joules_per_1000_tokens_CPU"] > 0


def test_a_model_of_images(tmp_path, capsys):
    model = kbm.models.vit_classifier((8, 8, 3), 5, 4, 1, 2, 8)
    kbm.huggingface.save(model, None, tmp_path)
    command = ["inspect", "--model", str(tmp_path), "--json"]
    assert __main__.main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == "vit" and report["flops_per_image"] > 0
    assert __main__.main([*command, "--context", "3"]) == 2
    assert "no context to choose" in capsys.readouterr().err
    assert __main__.main([*command, "--batch-size", "0"]) == 2
    assert "Received: --batch-size=0" in capsys.readouterr().err


@pytest.mark.parametrize("context", ["0", "33"])
def test_contexts_out_of_range_are_refused(trained, capsys, context):
    command = ["inspect", "--model", str(trained), "--context", context]
    assert __main__.main(command) == 2
    assert f"Received: --context={context}" in capsys.readouterr().err
