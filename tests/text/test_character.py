import json

import pytest
import tensorflow as tf
import tokenizers

from keras_bigmodel.text import CharacterTokenizer, Tokenizer
from tests.text.tokenizers_for_tests import (
    BROKEN,
    TEXTS,
    assert_same,
    characters,
    spec_of,
)


def test_frequent_characters_get_the_first_ids():
    tokenizer = CharacterTokenizer.train(["学而时习之，时习之，习之，之"], 9)
    assert tokenizer.vocabulary_size == 9
    # 之 four times, 习 and ， three, 时 two, and the first of the others.
    assert [tokenizer.id_to_token(i) for i in range(4, 9)] == list("之习，时学")
    assert tokenizer.encode(["之时而"]) == [[4, 7, 1]]
    assert tokenizer.decode([[4, 7, 1]]) == ["之时"]
    assert tokenizer.decode([[4, 7, 1]], False) == ["之时<|unk|>"]
    roles = (tokenizer.pad_id, tokenizer.start_id, tokenizer.end_id)
    assert roles == (0, 2, 3)


def test_all_characters_are_kept_without_a_limit():
    text = "中文和English，都在\n"
    tokenizer = CharacterTokenizer.train([text])
    assert tokenizer.decode(tokenizer.encode([text])) == [text]
    assert tokenizer.vocabulary_size == 4 + len(set(text))


@pytest.mark.parametrize("texts", [TEXTS, BROKEN, [], [""]])
def test_both_faces_are_the_library(texts):
    assert_same(characters(), texts)


def test_special_tokens_are_found_in_text():
    ids = assert_same(characters(), ["<|start|>a<|end|>"])
    assert ids[0][0] == 2
    assert ids[0][-1] == 3


def test_it_is_saved_and_loaded(tmp_path):
    characters().save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert type(loaded) is CharacterTokenizer
    assert loaded.encode(TEXTS) == characters().encode(TEXTS)
    assert loaded.pad_id == 0


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="larger vocabulary. .*_size=4"):
        CharacterTokenizer.train(["a"], 4)
    with pytest.raises(ValueError, match="at least one text. *|not empty"):
        CharacterTokenizer.train([""])
    with pytest.raises(ValueError, match="a list of texts"):
        CharacterTokenizer.train("abc")
    for changes, name in (
        ({"decoder": None}, "decoder"),
        ({"normalizer": {"type": "NFC"}}, "normalizer of type NFC"),
        ({"model__unk_token": None}, "unk_token"),
        ({"model__fuse_unk": True}, "fuse_unk"),
    ):
        spec = json.dumps(spec_of(characters(), **changes))
        with pytest.raises(ValueError, match=f"not supported: {name}"):
            CharacterTokenizer(tokenizers.Tokenizer.from_str(spec))


def test_an_id_outside_is_an_error_in_the_graph():
    with pytest.raises(tf.errors.InvalidArgumentError, match="97"):
        characters().detokenize([[97]])
