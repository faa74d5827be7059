"""The small version of `make exact`: every kind, on fewer strings."""

import pytest

from benchmarks import exact_text
from keras_bigmodel.text import Tokenizer
from tests.text.tokenizers_for_tests import (
    TEXTS,
    byte_pair,
    check_operations,
)


@pytest.mark.parametrize("kind", exact_text.KINDS)
def test_both_faces_give_the_same_ids(kind, tmp_path):
    make, keeps_bytes = exact_text.KINDS[kind]
    tokenizer = Tokenizer.load(make().save(tmp_path))
    texts = list(exact_text.strings(601, seed=11))
    assert exact_text.differences(tokenizer, texts, keeps_bytes) == []
    assert exact_text.differences(tokenizer, [], keeps_bytes) == []


@pytest.mark.parametrize("kind", exact_text.KINDS)
def test_a_saved_model_holds_core_operations(kind, tmp_path):
    make, _ = exact_text.KINDS[kind]
    assert len(check_operations(make(), tmp_path)) > 5


def test_strings_are_seeded_and_of_many_sorts():
    texts = list(exact_text.strings(997, seed=1))
    assert texts == list(exact_text.strings(997, seed=1))
    assert texts != list(exact_text.strings(997, seed=2))
    broken = [t for t in texts if t.decode("utf-8", "replace").encode() != t]
    assert len(broken) > 50
    assert b"" in texts
    assert max(map(len, texts)) > 150
    joined = b"".join(texts).decode("utf-8", "replace")
    for character in "\ue000\u200d\0\u2003中ж":
        low, high = ord(character) & ~0xFF, ord(character) | 0xFF
        assert any(low <= ord(c) <= high for c in joined)


def test_differences_are_found():
    tokenizer = byte_pair()
    texts = [text.encode() for text in TEXTS]

    class Wrong(type(tokenizer)):
        def _encode(self, texts):
            rows = super()._encode(texts)
            return [row[:-1] if len(row) > 40 else row for row in rows]

    wrong = Wrong(tokenizer.library)
    found = exact_text.differences(wrong, texts, False)
    assert found == [t for t in texts if len(tokenizer.encode([t])[0]) > 40]
    assert found
