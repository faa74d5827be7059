r"""Reads regular expressions into trees.

The common part of the usual syntax: literals, `.`, classes such as `[a-z_]`,
`\d \w \s` and their capitals, groups, `|`, `*`, `+`, `?` and `{m,n}`.
Look-around, anchors and back references, which no finite automaton knows, are
refused.
"""

import dataclasses
from collections.abc import Callable

Test = Callable[[str], bool]

_CLASSES: dict[str, Test] = {
    "d": lambda c: c in "0123456789",
    "w": lambda c: c.isalnum() or c == "_",
    "s": str.isspace,
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_COUNTS = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_MAX_COUNT = 1000
_MAX_DEPTH = 50


@dataclasses.dataclass(frozen=True)
class Character:
    """One character that passes a test."""

    test: Test


@dataclasses.dataclass(frozen=True)
class Sequence:
    """Parts one after the other."""

    parts: tuple


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several parts."""

    parts: tuple


@dataclasses.dataclass(frozen=True)
class Repeat:
    """A part from `least` to `most` times; None: any number of times."""

    part: object
    least: int
    most: int | None


def parse(pattern: str) -> object:
    """Returns the tree of a pattern.

    Args:
        pattern: A regular expression.

    Raises:
        ValueError: If the pattern is not of the syntax above.
    """
    parser = _Parser(pattern)
    tree = parser.choice(0)
    if not parser.is_at_end:
        raise parser.error("A group is closed that was not opened")
    return tree


class _Parser:
    """Reads a pattern from left to right, each rule by its own function."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._place = 0

    @property
    def is_at_end(self) -> bool:
        return self._place >= len(self._text)

    def choice(self, depth: int) -> object:
        if depth > _MAX_DEPTH:
            raise self.error("Groups are nested too deeply")
        parts = [self._sequence(depth)]
        while self._take("|"):
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self, depth: int) -> object:
        parts = []
        while not self.is_at_end and self._peek() not in "|)":
            parts.append(self._repeated(depth))
        return Sequence(tuple(parts))

    def _repeated(self, depth: int) -> object:
        part = self._single(depth)
        sign = "" if self.is_at_end else self._peek()
        if sign in _COUNTS:
            self._next()
            part = Repeat(part, *_COUNTS[sign])
        elif self._take("{"):
            part = Repeat(part, *self._counts())
        else:
            return part
        if not self.is_at_end and self._peek() in "*+?{":
            raise self.error("One count follows another")
        return part

    def _counts(self) -> tuple[int, int | None]:
        body = self._until("}")
        least, comma, most = body.partition(",")
        try:
            low = int(least)
            high = (int(most) if most else None) if comma else low
        except ValueError:
            raise self.error("A count is not of the form {m,n}") from None
        if not 0 <= low <= (low if high is None else high) <= _MAX_COUNT:
            raise self.error(f"A count is not from 0 to {_MAX_COUNT}")
        return low, high

    def _single(self, depth: int) -> object:
        if not self._take("("):
            return Character(self._test())
        if self._take("?") and not self._take(":"):
            raise self.error("Of groups with (?...) only (?:...) is known")
        part = self.choice(depth + 1)
        if not self._take(")"):
            raise self.error("A group is not closed")
        return part

    def _test(self) -> Test:
        character = self._next()
        if character == ".":
            return lambda c: c != "\n"
        if character == "[":
            return self._set()
        if character == "\\":
            return self._escape()
        if character in "*+?{^$":
            raise self.error(f"{character!r} stands where it means nothing")
        return lambda c: c == character

    def _escape(self) -> Test:
        name = self._next()
        if name.lower() in _CLASSES:
            test = _CLASSES[name.lower()]
            return test if name.islower() else lambda c: not test(c)
        if name.isalnum() and name not in _ESCAPES:
            raise self.error(f"The escape \\{name} is not known")
        literal = _ESCAPES.get(name, name)
        return lambda c: c == literal

    def _set(self) -> Test:
        negated = self._take("^")
        tests: list[Test] = []
        while not tests or self._peek() != "]":
            tests.append(self._set_entry())
        self._next()
        return lambda c: any(test(c) for test in tests) != negated

    def _set_entry(self) -> Test:
        low = self._next()
        if low == "\\":
            if self._peek().lower() in _CLASSES:
                return self._escape()
            low = self._next()
            low = _ESCAPES.get(low, low)
        followed = self._text[self._place : self._place + 2]
        if len(followed) < 2 or followed[0] != "-" or followed[1] == "]":
            return lambda c: c == low
        self._next()
        high = self._next()
        if high == "\\":
            high = self._next()
        if high < low:
            raise self.error(f"The range {low}-{high} is backwards")
        return lambda c: low <= c <= high

    def _peek(self) -> str:
        if self._place >= len(self._text):
            raise self.error("The pattern ends too early")
        return self._text[self._place]

    def _next(self) -> str:
        character = self._peek()
        self._place += 1
        return character

    def _take(self, character: str) -> bool:
        if self._text[self._place : self._place + 1] != character:
            return False
        self._place += 1
        return True

    def _until(self, character: str) -> str:
        end = self._text.find(character, self._place)
        if end < 0:
            raise self.error(f"{character!r} is missing")
        body, self._place = self._text[self._place : end], end + 1
        return body

    def error(self, message: str) -> ValueError:
        return ValueError(
            f"{message}, at character {self._place}. "
            f"Received: pattern={self._text!r}"
        )
