import pytest

import keras_bigmodel as kbm
from keras_bigmodel import __main__
from keras_bigmodel.cli.fresh_process import ask
from keras_bigmodel.cli.run_folder import load_model

pytestmark = pytest.mark.tensorflow


def test_a_trained_model_is_served(trained, tmp_path, capsys):
    command = ["export", "--from", str(trained), "--to", str(tmp_path / "m")]
    assert __main__.main([*command, "--max-new-tokens", "5"]) == 0
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
