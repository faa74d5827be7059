"""Text from ids as they come, whole characters only."""

from typing import Any

REPLACEMENT = "\ufffd"


class TextStream:
    """Turns a growing row of ids into pieces of text.

    A character whose bytes are spread over several tokens comes out when its
    last one is there.

    Args:
        tokenizer: Has `decode(list of rows) -> list of texts`.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._start = 0
        self._given = ""

    def push(self, token_ids: list[int]) -> str:
        """Takes more ids, and returns the text that is certain by now."""
        self._ids += token_ids
        text = self._decode()
        if text.endswith(REPLACEMENT):
            return ""
        return self._give(text)

    def flush(self) -> str:
        """Returns what is left, an unfinished character as U+FFFD."""
        return self._give(self._decode())

    def _decode(self) -> str:
        return self._tokenizer.decode([self._ids[self._start :]])[0]

    def _give(self, text: str) -> str:
        piece = text[len(self._given) :]
        # Some tokenizers drop a blank at the start: keep the last tokens, so
        # that the next ones are read in their company.
        keep = 8
        if len(self._ids) - self._start > 4 * keep:
            self._start = len(self._ids) - keep
            text = self._decode()
            while text.startswith(REPLACEMENT) and self._start > 0:
                self._start -= 1
                text = self._decode()
        self._given = text
        return piece
