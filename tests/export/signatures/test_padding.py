import keras
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.export.signatures.padding import find_pad_id


def call_of(model):
    return lambda token_ids: model(token_ids, training=False)


@pytest.mark.parametrize("pad_id", [0, 2, 10])
def test_the_models_own_id_is_found(pad_id):
    model = kbm.models.encoder(11, 13, 1, 2, 8, pad_id=pad_id)
    assert find_pad_id(model, call_of(model), None) == pad_id


def test_a_model_without_padding_has_none():
    model = kbm.models.encoder(259, 13, 1, 2, 8)
    tokenizer = kbm.text.ByteTokenizer()
    assert find_pad_id(model, call_of(model), tokenizer) is None


def test_a_model_of_keras_layers_is_tried():
    inputs = keras.Input((None,), dtype="int32", name="token_ids")
    x = keras.layers.Embedding(11, 3, mask_zero=True)(inputs)
    x = keras.layers.LSTM(5)(x)
    model = keras.Model(inputs, x)
    assert find_pad_id(model, call_of(model), None) == 0
