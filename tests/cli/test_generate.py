import json

import pytest

import keras_bigmodel as kbm
from keras_bigmodel import __main__
from keras_bigmodel.cli.run_folder import load_model

pytestmark = pytest.mark.tensorflow


def command(trained, *arguments):
    return __main__.main(["generate", "--model", str(trained), *arguments])


def test_greedy_answers_for_scripts(trained, capsys):
    assert (
        command(
            trained,
            *"--temperature 0 --max-new-tokens 7 --json Line be".split(),
        )
        == 0
    )
    answers = json.loads(capsys.readouterr().out)
    model, tokenizer = load_model(trained)
    texts = kbm.generate(model, ["Line", "be"], tokenizer, max_new_tokens=7)
    assert answers == [
        {"prompt": "Line", "text": texts[0]},
        {"prompt": "be", "text": texts[1]},
    ]


def test_sampled_answers_are_streamed_and_seeded(trained, capsys):
    said = []
    for _ in range(2):
        arguments = "--seed 5 --top-k 9 --max-new-tokens 7 Line".split()
        assert command(trained, *arguments) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and said[0].startswith("[Line]")


@pytest.mark.parametrize(
    "wrong", ["--max-new-tokens=0", "--temperature=-1", "--top-p=2"]
)
def test_bad_numbers_are_refused(trained, capsys, wrong):
    assert command(trained, wrong, "Line") == 2
    assert "Received: " in capsys.readouterr().err
