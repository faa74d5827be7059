import json

import pytest

from keras_bigmodel import __main__
from keras_bigmodel.cli.corpus import read_documents
from keras_bigmodel.cli.run_folder import load_model
from keras_bigmodel.cli.scoring import score

pytestmark = pytest.mark.tensorflow


def test_scores_the_whole_text(trained, text_file, capsys):
    command = ["evaluate", "--model", str(trained), "--text", str(text_file)]
    assert __main__.main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    model, tokenizer = load_model(trained)
    result = score(model, tokenizer, read_documents(text_file), 32)
    assert report["bytes"] == text_file.stat().st_size
    assert report["tokens"] == result.tokens
    assert report["bits_per_byte"] == round(result.bits_per_byte, 4)


def test_bad_input_is_refused(trained, tmp_path, capsys):
    command = ["evaluate", "--model", str(trained), "--text"]
    assert __main__.main([*command, str(tmp_path / "none")]) == 2
    (tmp_path / "short.txt").write_text("x")
    assert __main__.main([*command, str(tmp_path / "short.txt")]) == 2
    said = capsys.readouterr().err
    assert "no such file" in said and "shorter than one window" in said
