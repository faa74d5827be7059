"""Text that grows as ids arrive."""

from __future__ import annotations

from collections.abc import Iterable

from keras_bigmodel.text.base import Tokenizer

REPLACEMENT = "\ufffd"


class TextStream:
    """Turn ids into text as they arrive, whole characters only.

    A character may be spread over several tokens. Its text is given when its
    last one has come, and all that was given, put together, is what `decode`
    makes of all ids.

    Args:
        tokenizer: what made the ids.
        skip_special_tokens: whether special tokens are left out.

    Example:
    ```python
    import keras_bigmodel as kbm

    stream = kbm.text.TextStream(kbm.text.ByteTokenizer())
    stream.add([0xE4])  # ""
    stream.add([0xBD, 0xA0])  # "你"
    stream.finish()  # ""
    ```
    """

    def __init__(self, tokenizer: Tokenizer, skip_special_tokens: bool = True):
        self._tokenizer = tokenizer
        self._skips = skip_special_tokens
        # The ids given last, which may change what the next ones read as,
        # and those that wait.
        self._given: list[int] = []
        self._waiting: list[int] = []
        self._begun = False

    def add(self, token_ids: Iterable[int]) -> str:
        """Return the text that became whole with these ids.

        Args:
            token_ids: the ids that follow.

        Raises:
            ValueError: an id lies outside the vocabulary.
        """
        self._waiting.extend(int(i) for i in token_ids)
        return self._next_text(whole=True)

    def finish(self) -> str:
        """Return what is left; half a character is read as U+FFFD."""
        return self._next_text(whole=False)

    def _next_text(self, whole: bool) -> str:
        before, after = self._tokenizer.decode(
            [self._given, self._given + self._waiting], self._skips
        )
        if len(after) <= len(before) or (whole and after.endswith(REPLACEMENT)):
            return ""
        self._given, self._waiting = self._waiting, []
        return after[len(before) :]
