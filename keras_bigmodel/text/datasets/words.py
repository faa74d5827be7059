"""Which tokens of a row belong to one word, for any tokenizer."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

# A letter or digit that is no Chinese character. A part of a character, which
# decodes to U+FFFD, does not end a word either.
_JOINS = re.compile(
    "(?![\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
    r"[\w\ufffd]"
)


class WordFinder:
    """Numbers the words of token rows.

    A token goes on with the word before it where the last character before it
    and its own first character are both letters or digits. Whether a token
    brings a blank is found by decoding it behind another, so every kind of
    tokenizer is served. Chinese characters are words of their own.

    Args:
        tokenizer: What the token ids belong to.
    """

    def __init__(self, tokenizer: Any):
        size = tokenizer.vocabulary_size
        probe = tokenizer.encode(["a"], add_special_tokens=False)[0]
        rows = [[*probe, token_id] for token_id in range(size)]
        (before,) = tokenizer.decode([probe], skip_special_tokens=False)
        texts = tokenizer.decode(rows, skip_special_tokens=False)
        self.special = np.zeros(size, bool)
        self.special[list(tokenizer.special_tokens.values())] = True
        added = [text.removeprefix(before) for text in texts]
        self.begins = np.array([bool(_JOINS.match(text[:1])) for text in added])
        self.ends = np.array([bool(_JOINS.match(text[-1:])) for text in added])

    def number(self, tokens: np.ndarray) -> np.ndarray:
        """Returns each token's word, from 1; 0 for special tokens."""
        special = self.special[tokens]
        joined = np.zeros(len(tokens), bool)
        joined[1:] = (
            self.ends[tokens[:-1]]
            & self.begins[tokens[1:]]
            & ~special[:-1]
            & ~special[1:]
        )
        return np.where(special, 0, np.cumsum(~joined & ~special))
