import functools

import pytest
import tensorflow as tf

from keras_bigmodel import __main__
from keras_bigmodel.cli import demo
from keras_bigmodel.cli.recipe import Recipe

pytestmark = pytest.mark.tensorflow

LINES = [
    f"第{i}行：to be or not to be, that is line {i}.\n" for i in range(500)
]


@pytest.fixture
def text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "poem.txt"
    file.write_text("".join(LINES), "utf-8")
    return file


def test_the_whole_story(text, tmp_path, monkeypatch, capsys):
    small = functools.partial(Recipe, 270, 128, 1, 2, 32)
    monkeypatch.setattr(demo, "Recipe", small)
    monkeypatch.setattr(demo, "NEW_TOKENS", 5)
    code = __main__.main(["demo", "--text", str(text), "--minutes", "0.03"])
    told = capsys.readouterr().out
    assert code == 0
    for part in range(1, 8):
        assert f"\n{part}. " in told
    for said in (
        "gzip -9",
        "this model",
        "answers equal",
        "docker run",
        "poem",
    ):
        assert said in told
    folder = tmp_path / "saved_models" / "poem" / "1"
    assert (
        "text"
        in tf.saved_model.load(str(folder))
        .signatures["serving_default"]
        .structured_outputs
    )
    left = {file.name for file in (tmp_path / "runs" / "poem").iterdir()}
    assert left == {"curves.png", "model.keras", "tokenizer"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "missing"], "no such file or folder. Received: path="),
        (["--minutes", "0"], "Received: --minutes=0"),
        (["--minutes", "nan"], "Received: --minutes=nan"),
        (["--output", "poem.txt"], "Nothing can be written there: "),
        (["--output", "poem.txt/1"], "Nothing can be written there: "),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    text, tmp_path, capsys, arguments, message
):
    assert __main__.main(["demo", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert said.startswith("keras_bigmodel demo: ")
    assert [path.name for path in tmp_path.iterdir()] == ["poem.txt"]


def test_prompts_are_beginnings_of_held_out_documents():
    assert demo.first_words("\n  Short line \nmore") == "Short line"
    assert demo.first_words("The quick brown fox jumps over it") == (
        "The quick brown fox jumps"
    )
    assert demo.first_words("二" * 99) == "二" * 10
    assert demo.first_words(" \n ") == ""


def test_exports_are_named_after_their_text(tmp_path):
    named = demo.default_output
    assert str(named(None)) == "saved_models/python_docs"
    assert named(str(tmp_path / "my.book.txt")).name == "my.book"
