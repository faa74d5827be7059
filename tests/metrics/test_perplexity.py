"""Perplexity."""

import keras
import numpy as np
import pytest

from keras_bigmodel.metrics import Perplexity
from tests.losses.test_token_crossentropy import (
    LABELS,
    LOGITS,
    WEIGHTS,
    reference,
)


def test_is_over_tokens_not_batches():
    metric = Perplexity(ignored_label=-100)
    metric.update_state(LABELS[:1], LOGITS[:1], WEIGHTS[:1])
    metric.update_state(LABELS[1:], LOGITS[1:], WEIGHTS[1:])
    expected = np.exp(reference(LABELS, LOGITS, WEIGHTS))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    metric.reset_state()
    assert float(metric.result()) == 1


def test_uniform_predictions_are_the_number_of_classes():
    metric = Perplexity()
    metric.update_state(np.array([3, 4]), np.zeros((2, 7)))
    assert float(metric.result()) == pytest.approx(7, rel=1e-6)


def test_in_fit_with_weights():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(7)])
    model.compile(
        keras.optimizers.SGD(0.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[Perplexity()],
    )
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    labels = np.array([0, 1, 2, 3, 4])
    weights = np.array([1.0, 1.0, 0.0, 0.0, 2.0])
    found = model.evaluate(
        x, labels, sample_weight=weights, return_dict=True, verbose=0
    )
    logits = model.predict(x, verbose=0).astype("float64")
    expected = np.exp(reference(labels, logits, weights))
    assert found["perplexity"] == pytest.approx(expected, rel=1e-5)


def test_labels_outside_the_classes_are_named():
    with pytest.raises(ValueError, match=r"Received: labels=\[-100\]"):
        Perplexity().update_state(LABELS, LOGITS)


def test_config_round_trip():
    metric = Perplexity(ignored_label=3)
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
