"""Runs the code of the README, of docs/ and of the docstrings' examples."""

import doctest
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from tests import architecture

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What the examples of docstrings may use without importing it.
NAMES = {"kbm": kbm, "keras": keras, "np": np, "tf": tf}

pytestmark = pytest.mark.tensorflow


def code_blocks(text):
    """Each ```python block of a page, with the line it begins at."""
    return [
        (text.count("\n", 0, found.start(1)), found.group(1))
        for found in FENCE.finditer(text)
    ]


def run(text, name, folder, monkeypatch, **names):
    """Run the blocks top to bottom in one namespace, inside `folder`."""
    monkeypatch.chdir(folder)
    keras.utils.set_random_seed(0)
    namespace = {"__name__": "__main__", **names}
    for line, code in code_blocks(text):
        # The empty lines make a traceback name the page's own lines.
        exec(compile("\n" * line + code, name, "exec"), namespace)
    return namespace


def session_failures(text, name, **names):
    """Run the `>>>` lines of a text and return what came out otherwise."""
    session = doctest.DocTestParser().get_doctest(text, names, name, name, 0)
    report = []
    doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    ).run(session, out=report.append)
    return "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_of_page_runs(page, tmp_path, monkeypatch):
    run(page.read_text(), page.name, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name, value in architecture.public_objects()
        if architecture.has_example(value)
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_example_of_docstring_runs(name, value, tmp_path, monkeypatch):
    docstring = architecture.docstring(value)
    run(docstring, name, tmp_path, monkeypatch, **NAMES)
    assert session_failures(docstring, name, **NAMES) == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_page_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [
        target
        for target in targets
        if not re.match(r"\w+:", target) and not (page.parent / target).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_of_page_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    known = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = re.findall(r"^(?:\$ )?make ([a-z-]+)", page.read_text(), re.M)
    named += re.findall(r"`make ([a-z-]+)", page.read_text())
    assert set(named) <= known


def test_blocks_share_names_and_failures_name_their_line(tmp_path, monkeypatch):
    text = "# Title\n```python\na = 1\n```\ntext\n```python\nb = a + 1\n```\n"
    assert run(text, "page", tmp_path, monkeypatch)["b"] == 2
    with pytest.raises(ZeroDivisionError) as failure:
        run(text + "```python\n1 / 0\n```\n", "page", tmp_path, monkeypatch)
    assert failure.traceback[-1].lineno + 1 == 10


def test_sessions_run_and_failures_show():
    assert session_failures(">>> a + 1\n2\n", "page", a=1) == ""
    failures = session_failures(">>> a + 1\n3\n>>> b\n", "page", a=1)
    assert "Expected:\n    3" in failures and "NameError" in failures


def test_other_languages_are_left_alone():
    assert code_blocks("```bash\nexit 1\n```\n```\nplain\n```\n") == []
