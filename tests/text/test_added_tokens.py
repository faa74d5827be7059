import json

import pytest
import tokenizers

from keras_bigmodel.text import BytePairTokenizer
from keras_bigmodel.text.added_tokens import AddedTokens
from tests.text.tokenizers_for_tests import TEXTS, assert_same, byte_pair

BLANKS = [" ", "\t", "\n", "\u00a0", "\u2028", "\u3000", "\x85", "\x1c", ""]


def with_tokens(pattern, *tokens):
    library = tokenizers.Tokenizer.from_str(byte_pair(pattern).library.to_str())
    library.add_tokens([tokenizers.AddedToken(**token) for token in tokens])
    return BytePairTokenizer(library)


@pytest.mark.parametrize("pattern", ["gpt2", "sentencepiece"])
def test_the_longest_token_is_found(pattern):
    tokenizer = with_tokens(
        pattern,
        {"content": "<a>", "normalized": False},
        {"content": "<a><b>", "normalized": False, "special": True},
        {"content": "b><c", "normalized": False},
        {"content": "中文", "normalized": False},
        {"content": ".*\\1(x)|y", "normalized": False},
        {"content": "two words", "normalized": True},
    )
    texts = [
        "<a><b><c>",
        "<a> <b><c <a><a>",
        "x中文字<a>中",
        ".*\\1(x)|y x|y",
        "\xff\xfe<a>",
        "in two words<a>two wordstwo words two\u2581words",
        *TEXTS,
    ]
    ids = assert_same(tokenizer, texts)
    assert tokenizer.token_to_id("<a><b>") in ids[0]
    assert tokenizer.token_to_id("<a>") not in ids[0]


@pytest.mark.parametrize("side", ["lstrip", "rstrip"])
def test_tokens_take_the_blanks_beside_them(side):
    tokenizer = with_tokens(
        "gpt2",
        {"content": "<mask>", "normalized": False, side: True},
        {"content": "<other>", "normalized": False},
    )
    texts = [
        f"a{left}<mask>{right}b" for left in BLANKS for right in BLANKS[::-1]
    ]
    texts += ["  <mask>  <mask>  <other>  <mask>  ", " <other> <mask><other> "]
    assert_same(tokenizer, texts)


def test_single_words_are_refused():
    with pytest.raises(ValueError, match="single words .*Received: added_tok"):
        with_tokens("gpt2", {"content": "word", "single_word": True})


def test_a_token_cannot_be_forged():
    # The marks the search puts into the text occur in no valid text.
    tokenizer = byte_pair()
    broken = [b"\xff\xfe<|endoftext|>\xff", b"\xfe<|pad", b"\xff"]
    ids = assert_same(tokenizer, broken)
    assert ids[0].count(tokenizer.end_id) == 1
    assert tokenizer.pad_id not in ids[1]


def test_no_tokens_leave_texts_alone():
    spec = json.loads(byte_pair().library.to_str())
    spec["added_tokens"] = []
    tokenizer = BytePairTokenizer(
        tokenizers.Tokenizer.from_str(json.dumps(spec))
    )
    assert_same(tokenizer, TEXTS)
    assert AddedTokens([]).passes[0].pattern == ""
