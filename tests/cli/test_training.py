import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.cli import training

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def model():
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(7, 5, name="embedding")(ids)
    return keras.Model(ids, keras.layers.Dense(7)(x))


def windows(repeat):
    ids = np.arange(3 * 11).reshape(3, 11) % 7
    dataset = tf.data.Dataset.from_tensors((ids, (ids + 1) % 7))
    return dataset.repeat() if repeat else dataset


def test_steps_are_taken_and_losses_noted(model):
    curves = training.train(
        model,
        windows(True),
        windows(False),
        steps=60,
        learning_rate=0.1,
        verbose=0,
    )
    assert curves.steps == 60
    assert len(curves.minutes) == len(curves.validation) == training.ROUNDS
    assert curves.training[0] > 1.5 and curves.training[-1] < 0.3
    assert curves.validation[-1] < 0.3
    assert curves.minutes == sorted(curves.minutes)


def test_the_clock_ends_the_training(model):
    start = time.monotonic()
    curves = training.train(
        model, windows(True), windows(False), minutes=0.05, verbose=0
    )
    assert curves.steps > 10
    assert curves.minutes[-1] <= 0.05
    assert time.monotonic() - start < 20


def test_measuring_the_speed_changes_no_weight(model):
    before = model.get_weights()
    model.compile(keras.optimizers.AdamW(0.0, weight_decay=0.1), "mse")
    data = tf.data.Dataset.from_tensors((np.ones((2, 3)), np.ones((2, 3, 7))))
    assert training.steps_per_second(model, data.repeat(), data) > 0
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


class Steps:
    """A schedule that is the step itself."""

    def __call__(self, step):
        return step


def paced(model, seconds, sleep):
    rates = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate.numpy()))
            time.sleep(sleep)

    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    pace = training.Pace(Steps(), total_steps=10, seconds=seconds)
    data = tf.data.Dataset.from_tensors((np.ones((2, 3)), np.ones((2, 3, 7))))
    model.fit(
        data.repeat(),
        steps_per_epoch=10,
        callbacks=[pace, Watch()],
        verbose=0,
        shuffle=False,
    )
    return rates, pace.curves


def test_pace_follows_the_steps_without_a_clock(model):
    rates, curves = paced(model, None, 0)
    assert rates == list(range(10))
    assert curves.steps == 10 and curves.validation == []


def test_pace_follows_the_clock_on_a_slow_machine(model):
    rates, curves = paced(model, 1.0, 0.3)
    assert 2 <= curves.steps <= 5
    assert rates == sorted(rates) and 5 < rates[-1] <= 10


@pytest.mark.parametrize(
    "how_long", [{}, {"minutes": 1, "steps": 1}, {"minutes": 0}, {"steps": -1}]
)
def test_how_long_must_be_clear(model, how_long):
    with pytest.raises(ValueError, match="how long.*Received: minutes="):
        training.train(model, windows(True), windows(False), **how_long)
