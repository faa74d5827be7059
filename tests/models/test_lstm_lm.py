"""The LSTM language model."""

import numpy as np
import pytest

from keras_bigmodel import models

TOKENS = np.array([[3, 4, 5, 0, 0], [6, 7, 8, 9, 10]])


def test_layers_are_those_asked_for():
    model = models.lstm_lm(11, 2, 8, 6, 5, dropout=0.1)
    assert [layer.name for layer in model.layers] == [
        "token_ids",
        "token_embedding",
        "dropout",
        "lstm_0",
        "lstm_0_dropout",
        "lstm_1",
        "lstm_1_dropout",
        "dense",
        "output_projection",
    ]
    first = 4 * (6 * 8 + 8 * 8 + 8)
    second = 4 * (8 * 8 + 8 * 8 + 8)
    dense = 8 * 5 + 5
    assert model.count_params() == 11 * 6 + first + second + dense + 11 * 5


def test_defaults_are_as_wide_as_the_lstms():
    model = models.lstm_lm(11, 1, 8)
    assert model.get_layer("token_embedding").hidden_dim == 8
    assert model.get_layer("dense").units == 8


def test_a_tied_output_without_a_dense_layer():
    model = models.lstm_lm(11, 1, 8, dense_units=0, tie_embeddings=True)
    assert model.count_params() == 11 * 8 + 4 * (8 * 8 + 8 * 8 + 8)


def test_tokens_see_their_past_alone():
    model = models.lstm_lm(11, 1, 8)
    changed = TOKENS.copy()
    changed[:, 4] = 7
    np.testing.assert_array_equal(model(changed)[:, :4], model(TOKENS)[:, :4])


def test_options_of_the_logits_and_of_padding():
    model = models.lstm_lm(11, 1, 8, pad_id=0, logit_soft_cap=0.01)
    logits = model(TOKENS)
    assert np.abs(logits).max() <= 0.01
    np.testing.assert_array_equal(logits._keras_mask, TOKENS != 0)


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((11, 0, 8), {}, "Received: num_layers=0"),
        ((11, 1, 0), {}, "Received: units=0"),
        ((0, 1, 8), {}, "Received: vocabulary_size=0"),
        ((11, 1, 8, 6), {"tie_embeddings": True}, "embedding_dim=6, units=8"),
        ((11, 1, 8), {"pad_id": 11}, "pad_id=11"),
    ],
)
def test_bad_arguments_are_refused(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        models.lstm_lm(*sizes, **options)


def test_longer_texts_than_the_model_is_for_are_refused():
    with pytest.raises(ValueError, match="max_sequence_length=3"):
        models.lstm_lm(11, 1, 8, max_sequence_length=3)(TOKENS)
