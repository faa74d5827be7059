import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.export.signatures.classes import Classes

LOGITS = np.log([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]).astype("float32")


def test_classes_are_ranked():
    classes = Classes(["a", "b", "ç"], 3)
    ranked = classes.ranked(tf.constant(LOGITS), 2)
    names = [
        [name.decode() for name in row] for row in ranked["labels"].numpy()
    ]
    assert names == [["b", "ç"], ["a", "ç"]]
    np.testing.assert_allclose(
        ranked["probabilities"], [[0.5, 0.3], [0.6, 0.3]], rtol=1e-5
    )
    expected = classes.expect(LOGITS, 2)
    assert (expected["labels"] == ranked["labels"].numpy()).all()
    np.testing.assert_allclose(
        expected["probabilities"], ranked["probabilities"], rtol=1e-5
    )
    assert classes.ranked(tf.constant(LOGITS), 7)["labels"].shape == (2, 3)


def test_the_best_class():
    names, probabilities = Classes(None, 3).best(tf.constant(LOGITS))
    assert names.numpy().tolist() == [b"1", b"0"]
    np.testing.assert_allclose(probabilities, [0.5, 0.6], rtol=1e-5)


@pytest.mark.parametrize("labels", [["a", "b"], ["a", "b", "b"], []])
def test_labels_fit_the_classes(labels):
    with pytest.raises(ValueError, match="3 classes once. Received: labels="):
        Classes(labels, 3)
