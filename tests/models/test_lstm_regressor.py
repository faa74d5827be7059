"""LSTMs over feature sequences."""

import numpy as np
import pytest

from keras_bigmodel import models

X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_changes_nothing(bidirectional):
    model = models.lstm_regressor(
        3, 2, 2, 8, bidirectional=bidirectional, mask_value=0.0
    )
    padded = np.concatenate([X, np.zeros((2, 3, 3))], axis=1)
    np.testing.assert_allclose(model(padded), model(X), atol=1e-6)


def test_layers_are_those_asked_for():
    model = models.lstm_regressor(3, 2, 1, 8, 5, dropout=0.1)
    assert [layer.name for layer in model.layers] == [
        "features",
        "lstm_0",
        "lstm_0_dropout",
        "dense",
        "outputs",
    ]
    lstm = 4 * (3 * 8 + 8 * 8 + 8)
    assert model.count_params() == lstm + 8 * 5 + 5 + 5 * 2 + 2
    plain = models.lstm_regressor(3, 2, 1, 8, 0)
    assert plain.count_params() == lstm + 8 * 2 + 2


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 1, 1, 8), "Received: num_features=0"),
        ((3, 0, 1, 8), "Received: num_outputs=0"),
        ((3, 1, 0, 8), "Received: num_layers=0"),
    ],
)
def test_bad_arguments_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        models.lstm_regressor(*sizes)


def test_other_features_are_refused():
    with pytest.raises(ValueError, match=r"expected shape=\(None, None, 3\)"):
        models.lstm_regressor(3, 1, 1, 8)(X[..., :2])
