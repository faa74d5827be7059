"""Texts of tokens by their place."""

import tensorflow as tf
from tokenizers import decoders

from keras_bigmodel.text.token_texts import TokenTexts

ROWS = [[0, 1, 2], [], [2, 2], [1]]
TOKENS = ["\u2581a", "b", "\u2581\u2581c"]


def texts(decoder):
    rows = tf.ragged.constant(ROWS, tf.int32)
    found = TokenTexts(TOKENS, decoder)(rows).numpy()
    return [text.decode() for text in found]


def test_first_tokens_differ_from_others():
    decoder = decoders.Metaspace()
    wanted = [decoder.decode([TOKENS[i] for i in row]) for row in ROWS]
    assert texts(decoder) == wanted == ["ab  c", "", "c  c", "b"]


def test_without_a_decoder_blanks_join():
    assert texts(None) == [" ".join(TOKENS[i] for i in row) for row in ROWS]
