"""Runs the code of the README, of docs/ and of the docstrings' examples."""

import pathlib
import re

import keras
import pytest

from tests import architecture

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.tensorflow


def code_blocks(text):
    """Each ```python block of a page, with the line it begins at."""
    return [
        (text.count("\n", 0, found.start(1)), found.group(1))
        for found in FENCE.finditer(text)
    ]


def run(text, name, folder, monkeypatch):
    """Run the blocks top to bottom in one namespace, inside `folder`."""
    monkeypatch.chdir(folder)
    keras.utils.set_random_seed(0)
    namespace = {"__name__": "__main__"}
    for line, code in code_blocks(text):
        # The empty lines make a traceback name the page's own lines.
        exec(compile("\n" * line + code, name, "exec"), namespace)
    return namespace


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_of_page_runs(page, tmp_path, monkeypatch):
    run(page.read_text(), page.name, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name, value in architecture.public_objects()
        if "```python" in (value.__doc__ or "")
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_example_of_docstring_runs(name, value, tmp_path, monkeypatch):
    docstring = architecture.docstring(value)
    run(docstring, name, tmp_path, monkeypatch)


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


def test_other_languages_are_left_alone():
    assert code_blocks("```bash\nexit 1\n```\n```\nplain\n```\n") == []
