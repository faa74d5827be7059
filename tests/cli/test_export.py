import json

import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from keras_bigmodel import __main__
from keras_bigmodel.cli.fresh_process import ask
from keras_bigmodel.cli.run_folder import load_model
from keras_bigmodel.generation import tensorflow_packing
from tests.cli import checkpoints

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("flags", [[], ["--pack-weights"]], ids=str)
def test_a_trained_model_is_served(flags, trained, tmp_path, capsys):
    if flags and not tensorflow_packing.is_available():
        pytest.skip("this TensorFlow has no packed products")
    command = ["export", "--from", str(trained), "--to", str(tmp_path / "m")]
    assert __main__.main([*command, "--max-new-tokens", "5", *flags]) == 0
    folder = capsys.readouterr().out.splitlines()[-1]
    assert folder == str(tmp_path / "m" / "1")
    model, tokenizer = load_model(trained)
    prompts = ["Line 1", "be"]
    assert ask(folder, prompts) == kbm.generate(
        model, prompts, tokenizer, max_new_tokens=5
    )


def test_a_file_is_no_folder(trained, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    command = ["export", "--from", str(trained), "--to", str(tmp_path / "file")]
    assert __main__.main(command) == 2
    assert "Nothing can be written there" in capsys.readouterr().err


def test_a_wrong_option_leaves_nothing(trained, tmp_path, capsys):
    command = ["export", "--from", str(trained), "--to", str(tmp_path / "m")]
    assert __main__.main([*command, "--cores", "0"]) == 2
    assert "Received: cores=0" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("kind", "signature", "output"),
    [
        ("text_classifier", "serving_default", "labels"),
        ("vit", "predict", "labels"),
    ],
)
def test_checkpoints_of_other_kinds(kind, signature, output, tmp_path, capsys):
    source = checkpoints.save_checkpoint(kind, tmp_path / "hf")
    command = ["export", "--from", str(source), "--to", str(tmp_path / "m")]
    command += ["--max-new-tokens", "5", "--json"]
    assert __main__.main(command) == 0
    folder = json.loads(capsys.readouterr().out)["folder"]
    served = tf.saved_model.load(folder).signatures[signature]
    assert output in served.structured_outputs
