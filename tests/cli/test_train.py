import json

import pytest

from keras_bigmodel import __main__

pytestmark = pytest.mark.tensorflow


def test_a_folder_is_filled(trained):
    names = {file.name for file in trained.iterdir()}
    assert names == {"model.keras", "tokenizer", "curves.png"}


def test_report_for_scripts(text_file, tmp_path, capsys):
    code = __main__.main(
        ["train", "--text", str(text_file), "--output", str(tmp_path)]
        + "--num-layers 1 --hidden-dim 12 --steps 3 --json".split()
    )
    report = json.loads(capsys.readouterr().out)
    assert code == 0 and report["steps"] == 3
    assert 3 < report["bits_per_byte"] < 9
    assert report["xz -9 bits_per_byte"] < report["gzip -9 bits_per_byte"] < 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--steps 0", "Received: minutes=None, steps=0"),
        ("--minutes -1", "Received: minutes=-1.0"),
        ("--hidden-dim 7", "Received: .*hidden_dim=7"),
        ("--vocabulary-size 9", "Received: .*vocabulary_size=9"),
    ],
)
def test_bad_numbers_are_refused(
    text_file, tmp_path, capsys, arguments, message
):
    code = __main__.main(
        ["train", "--text", str(text_file), "--output", str(tmp_path)]
        + arguments.split()
    )
    said = capsys.readouterr().err
    assert code == 2
    with pytest.raises(ValueError, match=message):
        raise ValueError(said)
