import random

import pytest

from keras_bigmodel.generation.text_stream import TextStream


class Bytes:
    """Decodes ids as bytes, like any byte-level tokenizer."""

    def decode(self, rows):
        return [bytes(row).decode("utf-8", "replace") for row in rows]


TEXTS = ["猫 cat 🐈‍⬛ 黒い", "naïve café " * 20, "", "a", "\ufffd 文" * 30]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:5])
def test_pieces_join_to_the_text(text):
    ids = list(text.encode())
    rng = random.Random(7)
    stream, pieces = TextStream(Bytes()), []
    while ids:
        size = rng.randint(1, 4)
        pieces.append(stream.push(ids[:size]))
        ids = ids[size:]
    pieces.append(stream.flush())
    assert "".join(pieces) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


def test_an_unfinished_character_comes_last():
    stream = TextStream(Bytes())
    assert stream.push(list("猫".encode()[:2])) == ""
    assert stream.flush() == "\ufffd"
