"""Finite automata that read text and know what may still match."""

import dataclasses

from keras_bigmodel.generation import regular_expression as expression

_MAX_STATES = 100_000


@dataclasses.dataclass
class _State:
    """Where reading stands, and where a character may lead."""

    free: list[int] = dataclasses.field(default_factory=list)
    steps: list[tuple[expression.Test, int]] = dataclasses.field(
        default_factory=list
    )


class Automaton:
    """Reads text a character at a time; the whole text has to match.

    Args:
        pattern: A regular expression, see `regular_expression`.

    Raises:
        ValueError: If the pattern is not of that syntax or far too large.

    References:
        Thompson 1968, "Regular Expression Search Algorithm", for the states
        made of an expression and for reading with sets of them.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._states: list[_State] = []
        first, self._final = self._build(expression.parse(pattern))
        self.start = self._closure({first})
        self._cache: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def read(self, state: frozenset[int], text: str) -> frozenset[int]:
        """Returns the state after some more text; an empty one is a dead end.

        Args:
            state: `start`, or what this function returned.
            text: The characters to read.
        """
        for character in text:
            if not state:
                break
            key = (state, character)
            if key not in self._cache:
                reached = {
                    target
                    for index in state
                    for test, target in self._states[index].steps
                    if test(character)
                }
                self._cache[key] = self._closure(reached)
            state = self._cache[key]
        return state

    def accepts(self, state: frozenset[int]) -> bool:
        """Whether the text read so far is a whole match."""
        return self._final in state

    def _closure(self, states: set[int]) -> frozenset[int]:
        """Adds the states that are reached without a character."""
        waiting, reached = list(states), set(states)
        while waiting:
            for target in self._states[waiting.pop()].free:
                if target not in reached:
                    reached.add(target)
                    waiting.append(target)
        return frozenset(reached)

    def _build(self, tree: object) -> tuple[int, int]:
        """Returns the first and the last state of a tree."""
        if isinstance(tree, expression.Sequence):
            return self._chain(self._build(part) for part in tree.parts)
        first, last = self._new(), self._new()
        if isinstance(tree, expression.Character):
            self._states[first].steps.append((tree.test, last))
        elif isinstance(tree, expression.Choice):
            for part in tree.parts:
                begin, end = self._build(part)
                self._states[first].free.append(begin)
                self._states[end].free.append(last)
        else:
            return self._repeat(tree)
        return first, last

    def _repeat(self, tree: expression.Repeat) -> tuple[int, int]:
        pieces = [self._build(tree.part) for _ in range(tree.least)]
        for _ in range((tree.most or tree.least) - tree.least):
            begin, end = self._build(tree.part)
            self._states[begin].free.append(end)
            pieces.append((begin, end))
        if tree.most is None:
            begin, end = self._build(tree.part)
            hub = self._new()
            self._states[hub].free.append(begin)
            self._states[end].free.append(hub)
            pieces.append((hub, hub))
        return self._chain(pieces)

    def _chain(self, pieces: object) -> tuple[int, int]:
        first = last = self._new()
        for begin, end in pieces:
            self._states[last].free.append(begin)
            last = end
        return first, last

    def _new(self) -> int:
        if len(self._states) >= _MAX_STATES:
            raise ValueError(
                "The expression is too large: write its counts smaller. "
                f"Received: pattern={self._pattern!r}"
            )
        self._states.append(_State())
        return len(self._states) - 1
