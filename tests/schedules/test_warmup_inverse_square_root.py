"""Warm-up and inverse square root."""

import keras
import pytest

from keras_bigmodel.schedules import WarmupInverseSquareRoot


def test_is_the_papers_formula():
    hidden_dim, warmup = 512, 4000
    schedule = WarmupInverseSquareRoot((hidden_dim * warmup) ** -0.5, warmup)
    for count in (1, 2, 1000, 3999, 4000, 4001, 100_000):
        expected = hidden_dim**-0.5 * min(count**-0.5, count * warmup**-1.5)
        assert float(schedule(count - 1)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("arguments", [(0.1, 0), (0.0, 5)])
def test_what_is_not_positive_is_refused(arguments):
    with pytest.raises(ValueError, match="Received: warmup_steps="):
        WarmupInverseSquareRoot(*arguments)


def test_config_round_trip():
    schedule = WarmupInverseSquareRoot(0.3, 17, name="mine")
    serialize = keras.optimizers.schedules.serialize
    again = keras.optimizers.schedules.deserialize(serialize(schedule))
    assert again.get_config() == schedule.get_config()
