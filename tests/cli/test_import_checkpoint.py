import json

import keras
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel import __main__
from keras_bigmodel.cli.run_folder import load_labels
from tests.cli import checkpoints

pytestmark = pytest.mark.tensorflow


def test_a_checkpoint_becomes_a_keras_model(tmp_path, capsys):
    source = checkpoints.save_checkpoint("text_classifier", tmp_path / "hf")
    command = ["import", "--from", str(source), "--to", str(tmp_path / "run")]
    assert __main__.main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["family"] == "bert"
    assert report["tokenizer"] == "WordPieceTokenizer"
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    ids = np.array([[3, 5, 7]])
    inputs = {"token_ids": ids, "segment_ids": 0 * ids}
    np.testing.assert_array_equal(
        model(inputs), kbm.huggingface.load(source)[0](inputs)
    )
    assert load_labels(tmp_path / "run") == checkpoints.LABELS


def test_a_checkpoint_without_a_tokenizer(tmp_path, capsys):
    source = checkpoints.save_checkpoint("vit", tmp_path / "hf")
    command = ["import", "--from", str(source), "--to", str(tmp_path / "run")]
    assert __main__.main(command) == 0
    assert not (tmp_path / "run" / "tokenizer").exists()
    capsys.readouterr()
    assert __main__.main(["import", "--from", "/nowhere", *command[3:]]) == 2
    assert "no repository's name" in capsys.readouterr().err
