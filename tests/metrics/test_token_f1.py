"""F1 of tokens."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel.metrics import TokenF1

LABELS = np.array([[0, 1, 2, -100, 1], [4, -100, 2, 2, 0]])
GUESSES = np.array([[0, 1, 1, 3, 1], [2, 0, 2, 1, 0]])
LOGITS = np.eye(5)[GUESSES]
F1 = {0: 1.0, 1: 2 * 2 / (4 + 2), 2: 2 * 1 / (2 + 3), 4: 0.0}


def updated(*arguments, **options):
    metric = TokenF1(5, ignored_label=-100, **options)
    metric.update_state(*arguments)
    return ops.convert_to_numpy(metric.result())


def test_macro_is_over_the_classes_that_occur():
    # Class 3 is predicted where nothing counts, so it does not occur.
    expected = np.mean(list(F1.values()))
    assert updated(LABELS, LOGITS) == pytest.approx(expected, rel=1e-6)


def test_one_a_class():
    found = updated(LABELS, LOGITS, average=None)
    expected = [F1.get(label, 0.0) for label in range(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_micro_is_the_accuracy():
    accuracy = (LABELS == GUESSES)[LABELS != -100].mean()
    found = updated(LABELS, LOGITS, average="micro")
    assert found == pytest.approx(accuracy, rel=1e-6)


def test_weights_and_masks_leave_labels_out():
    seen = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 0, 1]], bool)
    expected = updated(np.where(seen, LABELS, -100), LOGITS)
    assert updated(LABELS, LOGITS, seen) == pytest.approx(expected)
    logits = ops.convert_to_tensor(LOGITS)
    logits._keras_mask = ops.convert_to_tensor(seen)
    assert updated(LABELS, logits) == pytest.approx(expected)


def test_weights_of_rows_broadcast():
    expected = updated(LABELS[:1], LOGITS[:1])
    found = updated(LABELS, LOGITS, np.array([0.5, 0.0]))
    assert found == pytest.approx(expected)


def test_batches_add_up():
    metric = TokenF1(5, ignored_label=-100)
    for row in range(2):
        metric.update_state(LABELS[row], LOGITS[row])
    assert float(metric.result()) == pytest.approx(
        updated(LABELS, LOGITS), rel=1e-6
    )


def test_in_fit():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(metrics=[TokenF1(5)], loss=loss)
    found = model.evaluate(
        np.ones((4, 3)), np.array([0, 1, 2, 3]), return_dict=True, verbose=0
    )
    assert 0 <= found["token_f1"] <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "Received: num_classes=0"),
        ({"num_classes": 5, "average": "mean"}, "Received: average='mean'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TokenF1(**options)


def test_wrong_predictions_and_labels_are_refused():
    with pytest.raises(ValueError, match="num_classes=3"):
        TokenF1(3).update_state(LABELS, LOGITS)
    with pytest.raises(ValueError, match=r"Received: labels=\[-100\]"):
        TokenF1(5).update_state(LABELS, LOGITS)


def test_config_round_trip():
    metric = TokenF1(5, ignored_label=-100, average=None)
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
