"""Bits for a byte."""

import math

import keras
import pytest

from keras_bigmodel.metrics import BitsPerByte
from tests.losses.test_token_crossentropy import LABELS, LOGITS, reference


def test_bytes_are_tokens_by_default():
    metric = BitsPerByte(ignored_label=-100)
    metric.update_state(LABELS[:1], LOGITS[:1])
    metric.update_state(LABELS[1:], LOGITS[1:])
    expected = reference(LABELS, LOGITS) / math.log(2)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_longer_tokens_share_their_bits():
    token_bytes = [0, 2, 3, 5, 7, 11, 13]
    metric = BitsPerByte(token_bytes, ignored_label=-100)
    metric.update_state(LABELS, LOGITS)
    counted = LABELS[LABELS != -100]
    bits = reference(LABELS, LOGITS) * len(counted) / math.log(2)
    expected = bits / sum(token_bytes[label] for label in counted)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_nothing_counted_is_nothing():
    assert float(BitsPerByte().result()) == 0


def test_a_number_for_each_class_is_needed():
    with pytest.raises(ValueError, match=r"Received: len\(token_bytes\)=3"):
        BitsPerByte([1, 2, 3]).update_state(LABELS[:, 0], LOGITS[:, 0])


@pytest.mark.parametrize("token_bytes", [1, [1, 2, 3]])
def test_config_round_trip(token_bytes):
    metric = BitsPerByte(token_bytes, ignored_label=-100)
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
