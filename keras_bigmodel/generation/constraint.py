"""Answers that match a regular expression, by construction."""

from typing import Any

import numpy as np
from keras import ops

from keras_bigmodel.generation.automaton import Automaton
from keras_bigmodel.generation.processors import FORBIDDEN

Tensor = Any

_MAX_STATES = 20_000


class RegexConstraint:
    r"""Lets pass only tokens that can still lead to a match.

    The expression becomes an automaton over the tokenizer's tokens: for each
    state, where each token leads. At every step the tokens that lead nowhere
    are forbidden; the tokenizer's `end_id` is allowed where the answer
    matches, and is the only token left where it can match no longer text. An
    answer cut off by `max_new_tokens` is the beginning of a match.

    Tokens that are no whole characters are not used.

    Args:
        pattern: A regular expression; see
            `keras_bigmodel.generation.regular_expression` for its syntax.
        tokenizer: Has `decode`, `vocabulary_size` and an `end_id`.

    Raises:
        ValueError: If the pattern is not valid, no text of the tokenizer's
            tokens matches it, or the tokenizer has no `end_id`.

    Example:
    ```python
    import keras_bigmodel as kbm

    tokenizer = kbm.text.ByteTokenizer()
    model = kbm.models.decoder_lm(tokenizer.vocabulary_size, 32, 1, 1, 8)
    date = kbm.generation.RegexConstraint(
        r"20\\d{2}-(0[1-9]|1[0-2])", tokenizer
    )
    kbm.generate(model, "On ", tokenizer, max_new_tokens=9, processors=[date])
    ```

    References:
        Willard & Louf 2023, "Efficient Guided Generation for Large Language
        Models", section 3.
    """

    def __init__(self, pattern: str, tokenizer: Any) -> None:
        self.pattern = pattern
        if tokenizer.end_id is None:
            raise ValueError(
                "A constrained answer ends with the tokenizer's `end_id`. "
                "Received: tokenizer.end_id=None"
            )
        self.end_id = tokenizer.end_id
        self.table = _token_table(Automaton(pattern), tokenizer, pattern)

    def start(self, prompt_ids: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Remembers the state of each row, int32 (B,)."""
        return {"state": ops.zeros_like(prompt_ids[:, 0])}

    def process(
        self,
        logits: Tensor,
        memory: dict[str, Tensor],
        count: Tensor,
        parameters: dict[str, Tensor],
    ) -> Tensor:
        """Returns the logits without the tokens that lead nowhere."""
        if logits.shape[-1] != self.table.shape[1]:
            raise ValueError(
                "The constraint's tokenizer has another vocabulary than the "
                f"model. Received: {self.table.shape[1]} tokens in the "
                f"tokenizer, {logits.shape[-1]} in the model"
            )
        table = ops.convert_to_tensor(self.table)
        following = ops.take(table, memory["state"], axis=0)
        return ops.where(following < 0, FORBIDDEN, logits)

    def update(
        self, memory: dict[str, Tensor], picked: Tensor
    ) -> dict[str, Tensor]:
        """Moves on by the picked tokens."""
        size = self.table.shape[1]
        flat = ops.convert_to_tensor(self.table.reshape(-1))
        following = ops.take(flat, memory["state"] * size + picked, axis=0)
        return {"state": ops.maximum(following, 0)}


def _token_table(
    automaton: Automaton, tokenizer: Any, pattern: str
) -> np.ndarray:
    """Returns where each token leads from each state, -1 for nowhere.

    State 0 is the start. Int32, (states, V).
    """
    size = tokenizer.vocabulary_size
    texts = tokenizer.decode([[token] for token in range(size)])
    usable = [
        (token, text)
        for token, text in enumerate(texts)
        if text and "\ufffd" not in text and token != tokenizer.end_id
    ]
    numbers = {automaton.start: 0}
    states, rows = [automaton.start], []
    for state in states:
        row = np.full(size, -1, "int32")
        for token, text in usable:
            following = automaton.read(state, text)
            if not following:
                continue
            if following not in numbers:
                if len(states) >= _MAX_STATES:
                    raise ValueError(
                        "The expression has too many states: write its counts "
                        f"smaller. Received: pattern={pattern!r}"
                    )
                numbers[following] = len(states)
                states.append(following)
            row[token] = numbers[following]
        if automaton.accepts(state):
            row[tokenizer.end_id] = len(rows)
        rows.append(row)
    table = np.stack(rows)
    _forbid_dead_ends(table, tokenizer.end_id)
    if (table[0] < 0).all():
        raise ValueError(
            "No text made of the tokenizer's tokens matches the expression. "
            f"Received: pattern={pattern!r}"
        )
    return table


def _forbid_dead_ends(table: np.ndarray, end_id: int) -> None:
    """Forbids tokens after which no end can be reached any more."""
    alive = table[:, end_id] >= 0
    while True:
        leads = (table >= 0) & alive[np.maximum(table, 0)]
        now = alive | leads.any(axis=1)
        if (now == alive).all():
            break
        alive = now
    table[
        ~(leads | ((table >= 0) & (np.arange(table.shape[1]) == end_id)))
    ] = -1
