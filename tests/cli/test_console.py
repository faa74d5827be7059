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


def test_a_bar_moves_on_a_terminal_alone(monkeypatch, capsys):
    assert console.progress("Reading") is None
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    show = console.progress("Reading")
    show(1, 3)
    show(3, 3)
    first, last = capsys.readouterr().err.split("\r")[1:]
    assert first == f"Reading {'█' * 8}{'·' * 16} 1 of 3"
    assert last == f"Reading {'█' * 24} 3 of 3\n"
    show(7, None)
    assert capsys.readouterr().err.endswith(" 7")
