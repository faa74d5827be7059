import pytest
import tensorflow as tf

from keras_bigmodel.text import ByteTokenizer, Tokenizer
from tests.text.tokenizers_for_tests import BROKEN, TEXTS


def test_ids_are_the_bytes():
    tokenizer = ByteTokenizer()
    assert tokenizer.encode(["Hé", ""]) == [[72, 195, 169], []]
    assert tokenizer.vocabulary_size == 259
    roles = (tokenizer.pad_id, tokenizer.start_id, tokenizer.end_id)
    assert roles == (256, 257, 258)


@pytest.mark.parametrize("texts", [[t.encode() for t in TEXTS], BROKEN, []])
def test_every_byte_comes_back_in_both_faces(texts):
    tokenizer = ByteTokenizer()
    expected = [list(text) for text in texts]
    assert tokenizer.encode(texts) == expected
    ids = tokenizer(tf.constant(texts, tf.string))
    assert ids.to_list() == expected
    assert tokenizer.detokenize(ids).numpy().tolist() == texts
    decoded = [text.decode("utf-8", "replace") for text in texts]
    assert tokenizer.decode(expected) == decoded


def test_all_bytes_have_an_id():
    everything = bytes(range(256))
    ids = ByteTokenizer()(tf.constant([everything]))
    assert ids.to_list() == [list(range(256))]


def test_it_is_saved_and_loaded(tmp_path):
    ByteTokenizer().save(tmp_path)
    assert isinstance(Tokenizer.load(tmp_path), ByteTokenizer)
    assert isinstance(ByteTokenizer.load(tmp_path), ByteTokenizer)
