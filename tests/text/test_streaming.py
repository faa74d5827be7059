import random

import pytest

from keras_bigmodel.text import ByteTokenizer, TextStream
from tests.text.tokenizers_for_tests import TEXTS, byte_pair, characters

MAKERS = {
    "byte": ByteTokenizer,
    "character": characters,
    "gpt2": byte_pair,
    "sentencepiece": lambda: byte_pair("sentencepiece"),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("skips", [True, False])
def test_pieces_are_whole_and_make_the_text(kind, skips):
    tokenizer = MAKERS[kind]()
    rng = random.Random(3)
    for text, ids in zip(TEXTS, tokenizer.encode(TEXTS), strict=True):
        stream = TextStream(tokenizer, skips)
        pieces = []
        while ids:
            size = rng.choice([1, 1, 1, 2, 5])
            pieces.append(stream.add(ids[:size]))
            ids = ids[size:]
        assert stream.finish() == ""
        whole = tokenizer.decode(tokenizer.encode([text]), skips)[0]
        assert "".join(pieces) == whole
        assert not any("\ufffd" in piece for piece in pieces)


def test_half_a_character_waits_and_is_shown_at_the_end():
    stream = TextStream(ByteTokenizer())
    assert [stream.add([i]) for i in "é你".encode()] == ["", "é", "", "", "你"]
    assert stream.add([0xE4, 0xBD]) == ""
    assert stream.finish() == "\ufffd"
    assert stream.finish() == ""


def test_blanks_between_tokens_are_kept():
    tokenizer = byte_pair("sentencepiece")
    ids = tokenizer.encode(["it is the case"])[0]
    stream = TextStream(tokenizer)
    assert "".join(stream.add([i]) for i in ids) == "it is the case"


def test_an_id_outside_is_refused():
    with pytest.raises(ValueError, match="Received: token_ids=\\[259\\]"):
        TextStream(ByteTokenizer()).add([259])
