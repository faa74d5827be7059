"""What becomes of each row of a generation, on Python's side."""

import dataclasses
from typing import Any

from keras_bigmodel.generation.text_stream import TextStream


@dataclasses.dataclass(frozen=True)
class Stops:
    """Where rows end.

    Args:
        ids: Token ids.
        texts: Strings.
    """

    ids: frozenset[int] = frozenset()
    texts: tuple[str, ...] = ()

    @classmethod
    def read(
        cls, stop: Any, tokenizer: Any, vocabulary_size: int | None = None
    ) -> "Stops":
        """Returns the stops that a caller and a tokenizer name.

        Raises:
            ValueError: If a stop is neither an id of the vocabulary nor a
                string, a string is empty, or there are strings and no
                tokenizer.
        """
        if stop is None:
            stop = []
        elif isinstance(stop, (str, int)):
            stop = [stop]
        ids, texts = set(), []
        for entry in stop:
            if isinstance(entry, str) and entry:
                texts.append(entry)
            elif not isinstance(entry, (str, bool)) and hasattr(
                entry, "__index__"
            ):
                ids.add(int(entry))
            else:
                raise ValueError(
                    "`stop` takes token ids and strings that are not empty. "
                    f"Received: stop={entry!r}"
                )
        wrong = [x for x in ids if not 0 <= x < (vocabulary_size or x + 1)]
        if wrong:
            raise ValueError(
                f"Stop ids must be from 0 to {vocabulary_size - 1}. "
                f"Received: stop={wrong[0]}"
            )
        if texts and tokenizer is None:
            raise ValueError(
                "Stop strings need a tokenizer; without one, give token ids. "
                f"Received: stop={texts}"
            )
        end_id = getattr(tokenizer, "end_id", None)
        if end_id is not None:
            ids.add(end_id)
        return cls(frozenset(ids), tuple(texts))

    def find(self, text: str) -> int | None:
        """Returns where the first stop string begins, or None."""
        found = [text.find(stop) for stop in self.texts]
        return min((place for place in found if place >= 0), default=None)

    def held_back(self, text: str) -> int:
        """Returns how many last characters could begin a stop string."""
        longest = 0
        for stop in self.texts:
            for size in range(min(len(stop) - 1, len(text)), 0, -1):
                if stop.startswith(text[-size:]):
                    longest = max(longest, size)
                    break
        return longest


class Row:
    """Collects one row's tokens and text.

    Args:
        tokenizer: Turns ids into text; None: ids alone.
        stops: Where the row ends.
    """

    def __init__(self, tokenizer: Any, stops: Stops) -> None:
        self.ids: list[int] = []
        self.log_probabilities: list[float] = []
        self.text: str | None = None if tokenizer is None else ""
        self.reason = "length"
        self.score: float | None = None
        self.is_finished = False
        self._stream = tokenizer and TextStream(tokenizer)
        self._stops = stops
        self._given = 0
        self._cut_at_text = False

    def take(self, made: dict[str, Any]) -> Any:
        """Takes a call's tokens of this row, and returns what is new."""
        if self.is_finished:
            return self._piece([])
        new = made["tokens"][: int(made["counts"])].tolist()
        if "scores" in made:
            self.score = float(made["scores"])
        if new and new[-1] in self._stops.ids:
            new.pop()
            self._finish("stop")
        elif made["finished"]:
            self.is_finished = True
        self.ids += new
        if "log_probabilities" in made:
            scores = made["log_probabilities"][: len(new)]
            self.log_probabilities += scores.tolist()
        if self._stream is not None:
            self.text += self._stream.push(new)
            self._cut()
        return self._piece(new)

    def end(self) -> Any:
        """Returns what was held back."""
        self.is_finished = True
        if self._stream is None:
            return []
        if not self._cut_at_text:
            self.text += self._stream.flush()
            self._cut()
        piece = self.text[self._given :]
        self._given = len(self.text)
        return piece

    def _cut(self) -> None:
        place = self._stops.find(self.text)
        if place is not None:
            self.text = self.text[:place]
            self._cut_at_text = True
            self._finish("stop")

    def _finish(self, reason: str) -> None:
        self.reason = reason
        self.is_finished = True

    def _piece(self, new: list[int]) -> Any:
        if self._stream is None:
            return new
        held = 0 if self.is_finished else self._stops.held_back(self.text)
        end = max(self._given, len(self.text) - held)
        piece = self.text[self._given : end]
        self._given = end
        return piece
