import keras
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.export.signatures import kinds
from tests.export.signatures.helpers import serve

BYTES = kbm.text.ByteTokenizer()


def trunk():
    return kbm.models.encoder(259, 13, 1, 2, 8, pad_id=256)


@pytest.mark.parametrize(
    ("make", "tokenizer", "labels", "task"),
    [
        (lambda: kbm.models.lstm_lm(13, 1, 3), None, None, "language_model"),
        (
            lambda: kbm.models.decoder_lm(259, 13, 1, 2, 8),
            BYTES,
            None,
            "language_model",
        ),
        (trunk, BYTES, None, "encoder"),
        (trunk, None, None, "arrays"),
        (
            lambda: kbm.models.text_classifier(trunk(), 3),
            BYTES,
            None,
            "text_classifier",
        ),
        (
            lambda: kbm.models.token_classifier(trunk(), 3),
            BYTES,
            ["a", "b", "c"],
            "token_classifier",
        ),
        (lambda: kbm.models.masked_lm(trunk()), BYTES, None, "arrays"),
        (
            lambda: kbm.models.cnn_classifier((8, 8, 1), 3, (2,)),
            None,
            None,
            "image_classifier",
        ),
        (
            lambda: kbm.models.gru_seq2seq(7, 11, 1, 5),
            BYTES,
            None,
            "sequence_to_sequence",
        ),
        (
            lambda: kbm.models.lstm_regressor(
                num_features=3, num_outputs=1, num_layers=1, units=2
            ),
            None,
            None,
            "arrays",
        ),
    ],
)
def test_a_models_kind_is_told(make, tokenizer, labels, task):
    assert kinds.find_task(make(), tokenizer, labels) == task


def test_causality_is_tried():
    assert kinds.is_causal(kbm.models.lstm_lm(13, 1, 3))
    assert not kinds.is_causal(kbm.models.encoder(13, 13, 1, 2, 8))


def test_an_unknown_task():
    model = kbm.models.lstm_lm(13, 1, 3)
    with pytest.raises(ValueError, match="one of .*Received: task='lm'"):
        serve(model, task="lm")


def test_texts_need_a_tokenizer():
    with pytest.raises(ValueError, match="tokenizer. Received: tokenizer=None"):
        serve(trunk(), task="encoder")


def test_a_users_own_model_has_a_kind():
    inputs = keras.Input((None,), dtype="int32", name="words")
    x = kbm.layers.TokenEmbedding(17, 8)(inputs)
    x = kbm.layers.DecoderBlock(num_heads=2, intermediate_dim=8)(x)
    model = keras.Model(inputs, keras.layers.Dense(17)(x))
    assert kinds.find_task(model, None, None) == "language_model"
