import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from keras_bigmodel.export.signatures.text import TextDoor


def door(tokenizer=None):
    tokenizer = tokenizer or kbm.text.ByteTokenizer()
    return TextDoor(tokenizer, kbm.export.Limits(text_bytes=29))


def test_texts_become_rows_and_empty_ones_start():
    token_ids, lengths = door().read(tf.constant(["ab", "", "\x00"]))
    assert token_ids.numpy().tolist() == [[97, 98], [257, 0], [0, 0]]
    assert lengths.numpy().tolist() == [2, 1, 1]
    token_ids, lengths = door().read(tf.constant([""]))
    assert token_ids.numpy().tolist() == [[257]]


def test_an_empty_text_without_a_start_token_is_refused():
    tokenizer = kbm.text.ByteTokenizer()
    tokenizer.start_id = None
    token_ids, _ = door(tokenizer).read(tf.constant(["ab"]))
    assert token_ids.numpy().tolist() == [[97, 98]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="no start token"):
        door(tokenizer).read(tf.constant(["ab", ""]), "texts")


def test_limits_hold():
    with pytest.raises(tf.errors.InvalidArgumentError, match="takes 29 at"):
        door().read(tf.constant(["a " * 15]))


@pytest.mark.parametrize(
    "raw",
    [b"plain", "你好".encode(), b"\xe4\xbd", b"a\xff\xfeb", b"\xed\xa0\x80"],
)
def test_written_text_is_valid_as_python_reads_it(raw):
    token_ids = tf.constant([[*raw, 1, 2], [65] * (len(raw) + 2)])
    written = door().write(token_ids, tf.constant([len(raw), 0]))
    assert written["text_bytes"].numpy().tolist() == [raw, b""]
    text = written["text"].numpy()[0].decode()
    assert text == raw.decode("utf-8", "replace")
