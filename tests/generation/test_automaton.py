import itertools
import re

import pytest

from keras_bigmodel.generation.automaton import Automaton

PATTERNS = [
    "",
    "a",
    "a*",
    "(ab|ba)+b?",
    "a{2}b{1,3}",
    "a{2,}",
    "a{0,2}",
    "(?:a|b)*abb",
    "[ab]c|[^ab]",
    "(a*)*",
    "(a|)b",
    "a?a?a?aaa",
    ".b",
    r"\w\d?",
    "((a))|b{0}",
]
TEXTS = [
    "".join(letters)
    for size in range(6)
    for letters in itertools.product("abc", repeat=size)
] + ["5", "a5", "_", "\n", "é", " ", "aaab"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_matches_are_those_of_re(pattern):
    automaton = Automaton(pattern)
    for text in TEXTS:
        state = automaton.read(automaton.start, text)
        expected = re.fullmatch(pattern, text) is not None
        assert automaton.accepts(state) == expected, text


def test_dead_ends_are_empty():
    automaton = Automaton("ab")
    assert not automaton.read(automaton.start, "b")
    assert not automaton.read(automaton.start, "abc")
    assert automaton.read(automaton.start, "a")


def test_hard_patterns_stay_fast():
    automaton = Automaton("(a*)*b" + "a?" * 200 + "a" * 200)
    automaton.read(automaton.start, "a" * 400)


def test_too_large_expressions_are_refused():
    with pytest.raises(ValueError, match="too large.*Received: pattern="):
        Automaton("(a{1000}){1000}")
