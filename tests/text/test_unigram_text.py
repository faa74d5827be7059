"""Normalizers and words of unigram models, against the library."""

import json

import pytest
import tensorflow as tf
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from keras_bigmodel.text.unigram_text import (
    UnigramWords,
    charsmap_of,
    unigram_normalizers,
)
from tests.text.charsmaps import charsmap
from tests.text.tokenizers_for_tests import TEXTS

BLANKS = [" \u3000\u2028a b\t\x85\u00a0 ", "   ", "a   b", "\x1c\u200b a \x1c"]


def spec_of(normalizer=None, pre_tokenizer=None):
    library = Tokenizer(models.Unigram())
    library.normalizer = normalizer
    library.pre_tokenizer = pre_tokenizer
    return json.loads(library.to_str())


@pytest.mark.parametrize(
    "library",
    [
        normalizers.Strip(),
        normalizers.Strip(left=False),
        normalizers.Lowercase(),
        normalizers.Replace(Regex(" {2,}"), "\\1\u2581"),
        normalizers.Replace("a", "bc"),
        normalizers.NFC(),
        normalizers.Precompiled(charsmap()),
        normalizers.Sequence(
            [normalizers.Lowercase(), normalizers.Strip(right=False)]
        ),
    ],
    ids=lambda library: type(library).__name__,
)
def test_normalizers(library):
    steps = unigram_normalizers(spec_of(library))
    texts = tf.constant([*TEXTS, *BLANKS, "ÀÉ İǅ ΑΣ"])
    wanted = [library.normalize_str(text.decode()) for text in texts.numpy()]
    for step in steps:
        texts = step(texts)
    assert [text.decode() for text in texts.numpy()] == wanted


def test_normalizers_that_are_not_known():
    with pytest.raises(ValueError, match="of type NFKD"):
        unigram_normalizers(spec_of(normalizers.NFKD()))
    spec = spec_of(normalizers.Replace(Regex("a+"), "b"))
    with pytest.raises(ValueError, match="of type Replace"):
        unigram_normalizers(spec)
    spec = spec_of(normalizers.Precompiled(charsmap()))
    assert charsmap_of(spec) == charsmap()
    assert charsmap_of(spec_of()) == b""
    for content in ("?", 7):
        spec["normalizer"]["precompiled_charsmap"] = content
        with pytest.raises(ValueError, match="of type Precompiled"):
            charsmap_of(spec)


@pytest.mark.parametrize("scheme", ["always", "never"])
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("blanks", [True, False])
def test_words(scheme, split, blanks):
    library = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    if blanks:
        steps = [pre_tokenizers.WhitespaceSplit(), library]
        library = pre_tokenizers.Sequence(steps)
    texts = [*TEXTS, *BLANKS, "\u2581a\u2581"]
    wanted = [[word for word, _ in library.pre_tokenize_str(text)]
              for text in texts]  # fmt: skip
    words = UnigramWords(spec_of(None, library))
    found = words(tf.constant(texts), tf.fill([len(texts)], True)).to_list()
    assert [[word.decode() for word in row] for row in found] == wanted


@pytest.mark.parametrize(
    "steps",
    [
        [],
        ["WhitespaceSplit"],
        ["Metaspace", "Metaspace"],
        ["Metaspace", "WhitespaceSplit"],
        ["Whitespace", "Metaspace"],
    ],
)
def test_words_cut_otherwise(steps):
    parts = [getattr(pre_tokenizers, step)() for step in steps]
    spec = spec_of(None, pre_tokenizers.Sequence(parts))
    with pytest.raises(ValueError, match="not supported: pre_tokenizer"):
        UnigramWords(spec)


def test_the_first_word_is_not_known_after_a_cut():
    steps = [
        pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Metaspace(prepend_scheme="first"),
    ]
    spec = spec_of(None, pre_tokenizers.Sequence(steps))
    with pytest.raises(ValueError, match="not supported: pre_tokenizer"):
        UnigramWords(spec)
