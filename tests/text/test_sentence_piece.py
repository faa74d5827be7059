import pytest

from keras_bigmodel.text.sentence_piece import SentencePiece
from tests.text.tokenizers_for_tests import (
    BROKEN,
    TEXTS,
    assert_same,
    byte_pair,
    changed,
    spec_of,
)

REPLACE = {
    "type": "Replace",
    "pattern": {"String": " "},
    "content": "\u2581",
}
MORE = ["\u2581", " \u2581a", "a <|pad|> b<|pad|>c", "<|pad|>a", "\u4e2d\u4e2d"]


def metaspace(scheme, split):
    return {
        "type": "Metaspace",
        "replacement": "\u2581",
        "prepend_scheme": scheme,
        "split": split,
    }


@pytest.mark.parametrize("scheme", ["always", "first", "never"])
@pytest.mark.parametrize("split", [True, False])
def test_metaspace_is_the_librarys(scheme, split):
    part = metaspace(scheme, split)
    tokenizer = changed(
        byte_pair("sentencepiece"),
        normalizer=None,
        pre_tokenizer=part,
        decoder=part,
    )
    assert_same(tokenizer, TEXTS + MORE)


def test_gemma_has_no_blank_before_a_text():
    tokenizer = changed(
        byte_pair("sentencepiece"),
        normalizer=REPLACE,
        pre_tokenizer={
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        decoder={
            "type": "Sequence",
            "decoders": [
                {**REPLACE, "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
    )
    assert_same(tokenizer, TEXTS + MORE + BROKEN)
    texts = [text for text in TEXTS if "\u2581" not in text]
    assert tokenizer.decode(tokenizer.encode(texts), False) == texts


@pytest.mark.parametrize("fuses", [True, False])
def test_without_bytes_characters_are_unknown(fuses):
    tokenizer = changed(
        byte_pair("sentencepiece"),
        model__byte_fallback=False,
        model__fuse_unk=fuses,
    )
    ids = assert_same(tokenizer, ["a\ue100\ue101b\ue102", *TEXTS, *MORE])
    unknown = tokenizer.token_to_id("<unk>")
    assert ids[0].count(unknown) == (2 if fuses else 3)


def test_bytes_spell_what_has_no_token():
    tokenizer = byte_pair("sentencepiece")
    (ids,) = tokenizer.encode(["\ue123"])
    tokens = [tokenizer.id_to_token(i) for i in ids]
    assert tokens == ["\u2581", "<0xEE>", "<0x84>", "<0xA3>"]
    # Their names in a text are letters like others.
    (ids,) = assert_same(tokenizer, ["<0xEE>"])
    assert len(ids) > 2


@pytest.mark.parametrize(
    "changes",
    [
        {"pre_tokenizer": {"type": "Digits", "individual_digits": True}},
        {"pre_tokenizer": metaspace("sometimes", True)},
        {"pre_tokenizer": {**metaspace("first", True), "replacement": "ab"}},
        {"decoder": None},
        {"decoder": {"type": "WordPiece"}},
        {"decoder": {"type": "ByteFallback"}},
        {
            "decoder": {
                "type": "Sequence",
                "decoders": [
                    {"type": "Fuse"},
                    {"type": "Strip", "content": "x", "start": 1, "stop": 0},
                ],
            }
        },
    ],
)
def test_other_components_are_named(changes):
    (part,) = changes
    spec = {**spec_of(byte_pair("sentencepiece")), **changes}
    with pytest.raises(ValueError, match=f"not supported: {part}"):
        SentencePiece(spec)


def test_tokens_for_all_characters_are_needed():
    spec = spec_of(byte_pair("sentencepiece"))
    del spec["model"]["vocab"]["<0x41>"]
    with pytest.raises(ValueError, match="every byte. .* without '<0x41>'"):
        SentencePiece(spec)
    spec["model"] |= {"byte_fallback": False, "unk_token": None}
    with pytest.raises(ValueError, match="an unknown token.*unk_token=None"):
        SentencePiece(spec)
