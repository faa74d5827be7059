"""Cross-entropy over the tokens that count."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel.losses import TokenCrossentropy

GENERATOR = np.random.default_rng(0)
LABELS = np.array([[2, 0, 6, -100, 1], [5, -100, -100, 3, 4]])
LOGITS = GENERATOR.normal(size=(2, 5, 7)) * 3
WEIGHTS = np.array([[1, 0.5, 2, 7, 0], [0.25, 1, 1, 1, 3]])


def reference(labels, logits, weights=None, smoothing=0.0, ignored=-100):
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    counts = labels != ignored
    if weights is not None:
        counts = counts * weights
    chosen = np.where(counts != 0, labels, 0)
    own = np.take_along_axis(log_p, chosen[..., None], -1)[..., 0]
    costs = -(1 - smoothing) * own - smoothing * log_p.mean(-1)
    return (costs * counts).sum() / counts.sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_is_the_mean_over_what_counts(smoothing, weights):
    loss = TokenCrossentropy(ignored_label=-100, label_smoothing=smoothing)
    found = float(loss(LABELS, LOGITS.astype("float32"), weights))
    expected = reference(LABELS, LOGITS, weights, smoothing)
    assert found == pytest.approx(expected, rel=1e-5)


def test_without_ignored_labels_is_keras_own():
    labels = np.maximum(LABELS, 0)
    own = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = TokenCrossentropy()(labels, LOGITS)
    assert float(found) == pytest.approx(float(own(labels, LOGITS)), rel=1e-5)


def test_classes_of_whole_texts_and_a_last_axis_of_one():
    labels, logits = LABELS[:, 0], LOGITS[:, 0]
    found = float(TokenCrossentropy()(labels, logits))
    assert found == pytest.approx(reference(labels, logits), rel=1e-5)
    again = TokenCrossentropy()(labels[:, None], logits, np.ones((2, 1)))
    assert float(again) == pytest.approx(found, rel=1e-6)


def test_weights_of_rows_broadcast():
    loss = TokenCrossentropy(ignored_label=-100)
    rows = np.array([2.0, 0.5])
    assert float(loss(LABELS, LOGITS, rows)) == pytest.approx(
        reference(LABELS, LOGITS, rows[:, None] * np.ones((2, 5))), rel=1e-5
    )


def test_mask_of_the_logits_counts():
    logits = ops.convert_to_tensor(LOGITS)
    mask = np.array([[1, 1, 0, 0, 0], [1, 0, 0, 0, 1]], bool)
    logits._keras_mask = ops.convert_to_tensor(mask)
    found = float(TokenCrossentropy(ignored_label=-100)(LABELS, logits))
    expected = reference(LABELS, LOGITS, mask.astype(float))
    assert found == pytest.approx(expected, rel=1e-5)


def test_nothing_that_counts_costs_nothing():
    labels = np.full((2, 5), -100)
    assert float(TokenCrossentropy(-100)(labels, LOGITS)) == 0


def test_half_precision_is_computed_in_float32():
    logits = ops.cast(LOGITS, "bfloat16")
    found = float(TokenCrossentropy(-100)(LABELS, logits))
    rounded = ops.convert_to_numpy(ops.cast(logits, "float32"))
    expected = reference(LABELS, rounded.astype("float64"))
    assert found == pytest.approx(expected, rel=1e-5)


def test_infinite_logits_of_what_does_not_count_do_no_harm():
    logits = LOGITS.copy()
    logits[0, 3] = np.inf
    found = float(TokenCrossentropy(-100)(LABELS, logits))
    assert found == pytest.approx(reference(LABELS, LOGITS), rel=1e-5)


@pytest.mark.parametrize("wrong", [7, -1])
def test_labels_outside_the_classes_are_named(wrong):
    labels = np.where(LABELS == 6, wrong, LABELS)
    with pytest.raises(
        ValueError, match=rf"from 0 to 6, or -100. Received: labels=\[{wrong}\]"
    ):
        TokenCrossentropy(ignored_label=-100)(labels, LOGITS)


def test_ignored_label_must_be_told():
    with pytest.raises(ValueError, match="Received: labels="):
        TokenCrossentropy()(LABELS, LOGITS)


@pytest.mark.parametrize("wrong", [7, -1])
def test_labels_outside_the_classes_make_training_nan(wrong):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(7)])
    model.compile("sgd", TokenCrossentropy())
    x, labels = np.ones((4, 3)), np.array([0, 1, wrong, 6])
    history = model.fit(x, labels, epochs=1, verbose=0)
    assert np.isnan(history.history["loss"][0])


def test_shapes_that_do_not_fit_are_refused():
    for labels in (LABELS[:, :4], LABELS[0], LOGITS):
        with pytest.raises(ValueError, match="Received: labels.shape"):
            TokenCrossentropy()(labels, LOGITS)


def test_smoothing_is_a_share():
    with pytest.raises(ValueError, match="Received: label_smoothing=1"):
        TokenCrossentropy(label_smoothing=1)


def test_config_round_trip():
    loss = TokenCrossentropy(3, 0.2, name="mine")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
