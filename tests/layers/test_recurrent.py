import keras
import numpy as np
import pytest

from keras_bigmodel.layers import GRU, LSTM, DecodingScope
from keras_bigmodel.layers.recurrent import portable_recurrence
from tests.layer_case import to_numpy
from tests.layer_checks import check_layer


def random(*shape):
    return np.random.default_rng(3).normal(size=shape).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, weights):
    kernel = weights["lstm_cell/kernel"]
    recurrent = weights["lstm_cell/recurrent_kernel"]
    units = recurrent.shape[0]
    outputs = np.zeros((*x.shape[:2], units))
    for row in range(len(x)):
        h, c = np.zeros(units), np.zeros(units)
        for t in range(x.shape[1]):
            z = x[row, t] @ kernel + h @ recurrent + weights["lstm_cell/bias"]
            i, f, g, o = np.split(z, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            outputs[row, t] = h
    return outputs


def gru(x, weights):
    kernel = weights["gru_cell/kernel"]
    recurrent = weights["gru_cell/recurrent_kernel"]
    bias, recurrent_bias = weights["gru_cell/bias"]
    units = recurrent.shape[0]
    outputs = np.zeros((*x.shape[:2], units))
    for row in range(len(x)):
        h = np.zeros(units)
        for t in range(x.shape[1]):
            of_x = np.split(x[row, t] @ kernel + bias, 3)
            of_h = np.split(h @ recurrent + recurrent_bias, 3)
            z, r = (sigmoid(of_x[k] + of_h[k]) for k in range(2))
            g = np.tanh(of_x[2] + r * of_h[2])
            h = z * h + (1 - z) * g
            outputs[row, t] = h
    return outputs


@pytest.mark.parametrize(("kind", "reference"), [(LSTM, lstm), (GRU, gru)])
def test_all_checks(kind, reference):
    check_layer(
        kind,
        {
            "units": 5,
            "return_sequences": True,
            # Keras's default cannot be drawn in bfloat16 on TensorFlow.
            "recurrent_initializer": "glorot_uniform",
        },
        random(2, 7, 3),
        (2, 7, 5),
        reference,
        stateful=True,
    )


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_padding_on_either_side_leaves_the_state(kind):
    layer = kind(5)
    x = random(1, 4, 3)
    alone = to_numpy(layer(x))
    noise = 9.0 * random(1, 2, 3)
    mask = np.array([[True] * 4 + [False] * 2])
    right = layer(np.concatenate([x, noise], axis=1), mask=mask)
    left = layer(np.concatenate([noise, x], axis=1), mask=mask[:, ::-1])
    np.testing.assert_allclose(to_numpy(right), alone, atol=1e-6)
    np.testing.assert_allclose(to_numpy(left), alone, atol=1e-6)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_portable_recurrence_is_the_same_function(kind):
    layer = kind(5, return_sequences=True)
    x = random(2, 7, 3)
    plain = to_numpy(layer(x))
    with portable_recurrence():
        portable = to_numpy(layer(x))
    np.testing.assert_allclose(portable, plain, atol=1e-6)


def test_they_are_keras_layers():
    assert issubclass(LSTM, keras.layers.LSTM)
    assert issubclass(GRU, keras.layers.GRU)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_going_backwards_in_steps_is_refused(kind):
    layer = kind(5, go_backwards=True, name="backwards")
    with (
        pytest.raises(ValueError, match="go_backwards=True.*'backwards'"),
        DecodingScope(max_length=7),
    ):
        layer(random(2, 7, 3))
