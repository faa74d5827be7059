import pytest
from tokenizers import pre_tokenizers

from keras_bigmodel.text.byte_level import ByteLevel, byte_characters
from tests.text.tokenizers_for_tests import (
    TEXTS,
    assert_same,
    byte_pair,
    changed,
    spec_of,
)

BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}
SPLIT = {
    "type": "Split",
    "pattern": {"Regex": r"\p{L}+"},
    "behavior": "Isolated",
    "invert": False,
}


def test_bytes_have_the_librarys_characters():
    assert sorted(byte_characters()) == sorted(
        pre_tokenizers.ByteLevel.alphabet()
    )
    visible = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for text in TEXTS:
        expected = "".join(word for word, _ in visible.pre_tokenize_str(text))
        found = "".join(byte_characters()[byte] for byte in text.encode())
        assert found == expected


def test_contents_are_bytes():
    scheme = ByteLevel(byte_pair().spec)
    assert scheme.content("Ġthe") == b" the"
    assert scheme.content("ä½ł") == "你".encode()
    # A token with a character for no byte is written as itself.
    assert scheme.content("a b") == b"a b"
    assert scheme.content("中") == "中".encode()


@pytest.mark.parametrize(
    "part",
    [
        {**BYTE_LEVEL, "add_prefix_space": True},
        {**BYTE_LEVEL, "use_regex": False},
        {**BYTE_LEVEL, "use_regex": False, "add_prefix_space": True},
        {"type": "Sequence", "pretokenizers": [BYTE_LEVEL]},
    ],
)
def test_options_are_the_librarys(part):
    tokenizer = changed(byte_pair(), pre_tokenizer=part)
    assert_same(tokenizer, [*TEXTS, "a", " a", "\ta<|pad|>b <|pad|> c"])


@pytest.mark.parametrize(
    "changes",
    [
        {"pre_tokenizer": SPLIT},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [SPLIT, BYTE_LEVEL],
            }
        },
        {
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [BYTE_LEVEL, BYTE_LEVEL],
            }
        },
        {"decoder": {"type": "Sequence", "decoders": [BYTE_LEVEL] * 2}},
        {"decoder": None},
    ],
)
def test_other_components_are_named(changes):
    (part,) = changes
    spec = {**spec_of(byte_pair()), **changes}
    with pytest.raises(ValueError, match=f"not supported: {part}"):
        ByteLevel(spec)


def test_every_byte_of_utf8_needs_a_token():
    spec = spec_of(byte_pair())
    del spec["model"]["vocab"]["!"]
    with pytest.raises(ValueError, match="for every byte. Received: byte 0x21"):
        ByteLevel(spec)
