"""The command line as a whole; each command has its own test."""

import pytest

from keras_bigmodel import __main__

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("command", sorted(__main__.COMMANDS))
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as done:
        __main__.main([command, "--help"])
    assert done.value.code == 0
    assert f"python -m keras_bigmodel {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["fly"], ["demo", "--fly"]])
def test_unknown_words_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as done:
        __main__.main(arguments)
    assert done.value.code == 2
    assert "usage: keras_bigmodel" in capsys.readouterr().err


def test_what_does_not_work_has_a_code_of_its_own(monkeypatch, capsys):
    def broken(options):
        raise RuntimeError("it does not answer")

    monkeypatch.setattr(__main__.COMMANDS["demo"], "run", broken)
    assert __main__.main(["demo"]) == 1
    assert (
        capsys.readouterr().err == "keras_bigmodel demo: it does not answer\n"
    )


def test_interruption_is_no_traceback(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(__main__.COMMANDS["demo"], "run", interrupted)
    assert __main__.main(["demo"]) == 130
    assert capsys.readouterr().err == "\nStopped.\n"
