import pytest

from keras_bigmodel.cli import console

pytestmark = pytest.mark.tensorflow


def test_tables_align(capsys):
    console.table([("a", "1", "long"), ("longer", "22", "x")])
    assert capsys.readouterr().out == "  a        1  long\n  longer  22     x\n"


def test_headings_are_underlined(capsys):
    console.heading("Two words")
    assert capsys.readouterr().out == "\nTwo words\n─────────\n"


def test_streams_are_shown_and_returned(capsys):
    pieces = ["to ", "be\n", "\n", "\n", "or", " \n", "not"]
    assert console.stream(iter(pieces)) == "".join(pieces)
    assert capsys.readouterr().out == "to be\nor \nnot\n"


def test_sizes_are_readable():
    assert console.megabytes(1_234_567_890) == "1,234.6 MB"


def test_progress_bar_moves_on_terminals_only(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert console.fit_verbosity() == 1
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    assert console.fit_verbosity() == 2
