"""Warm-up and cosine."""

import math

import keras
import numpy as np
import pytest

from keras_bigmodel.schedules import WarmupCosine


def test_follows_the_formula():
    schedule = WarmupCosine(0.3, 17, warmup_steps=5, final_learning_rate=0.1)
    for step in range(23):
        expected = 0.3 * (step + 1) / 5
        if step >= 5:
            done = min((step - 5) / 12, 1)
            expected = 0.1 + 0.2 * (1 + math.cos(math.pi * done)) / 2
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-5)


def test_without_warm_up_begins_at_the_peak():
    schedule = WarmupCosine(0.3, 7)
    assert float(schedule(0)) == pytest.approx(0.3)
    assert float(schedule(7)) == pytest.approx(0, abs=1e-8)


def test_in_an_optimizer():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(WarmupCosine(0.5, 3, warmup_steps=2))
    model.compile(optimizer, "mse")
    model.fit(np.ones((3, 1)), np.ones((3, 1)), batch_size=1, verbose=0)
    assert float(optimizer.learning_rate) == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.3, 5, 5), "Received: warmup_steps=5, total_steps=5"),
        ((0.3, 5, -1), "Received: warmup_steps=-1"),
        ((0.3, 5, 1, 0.4), "Received: final_learning_rate=0.4"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        WarmupCosine(*arguments)


def test_config_round_trip():
    schedule = WarmupCosine(0.3, 17, 5, 0.1, name="mine")
    serialize = keras.optimizers.schedules.serialize
    again = keras.optimizers.schedules.deserialize(serialize(schedule))
    assert again.get_config() == schedule.get_config()
