"""Words of token rows, for every kind of tokenizer."""

import numpy as np
import pytest

from keras_bigmodel.text import (
    BytePairTokenizer,
    ByteTokenizer,
    UnigramTokenizer,
    WordPieceTokenizer,
)
from keras_bigmodel.text.datasets.words import WordFinder

TEXTS = ["a word, two words: unwordly wordings 中文字 über-café x1 y2 (z)"] * 3


@pytest.mark.parametrize(
    "make",
    [
        ByteTokenizer,
        lambda: BytePairTokenizer.train(TEXTS, 280),
        lambda: WordPieceTokenizer.train(TEXTS, 60),
        lambda: UnigramTokenizer.train(TEXTS, 60),
    ],
    ids=["bytes", "byte pair", "word piece", "unigram"],
)
def test_tokens_of_one_word_have_one_number(make):
    tokenizer = make()
    (tokens,) = tokenizer.encode([TEXTS[0]], add_special_tokens=False)
    finder = WordFinder(tokenizer)
    numbers = finder.number(np.array(tokens))
    assert numbers[0] == 1 and set(np.diff(numbers)) <= {0, 1}
    words = {}
    for token, number in zip(tokens, numbers, strict=True):
        words.setdefault(number, []).append(token)
    texts = [tokenizer.decode([row])[0].strip() for row in words.values()]
    wanted = ["word", "wordings", "unwordly", "x1", "y2", "two"]
    assert set(wanted) <= set(texts)
    letters = [text for text in texts if len(text) > 1]
    assert not any("," in text or " " in text for text in letters)
    if isinstance(tokenizer, (WordPieceTokenizer, UnigramTokenizer)):
        assert {"中", "文", "字"} <= set(texts)


def test_special_tokens_are_no_words():
    tokenizer = WordPieceTokenizer.train(TEXTS, 60)
    (tokens,) = tokenizer.encode(["word [MASK] words[SEP]x"])
    numbers = WordFinder(tokenizer).number(np.array(tokens))
    special = np.isin(tokens, list(tokenizer.special_tokens.values()))
    assert (numbers[special] == 0).all() and (numbers[~special] > 0).all()
    assert len(set(numbers)) == 4
