import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from tests.export.signatures.helpers import check_examples, serve

BYTES = kbm.text.ByteTokenizer()


@pytest.mark.parametrize("pad_id", [None, 256])
def test_rows_answer_as_alone(pad_id):
    trunk = kbm.models.encoder(259, 31, 1, 2, 8, pad_id=pad_id)
    model = kbm.models.text_classifier(trunk, 3)
    traced, signatures = serve(
        model, BYTES, ["a", "b", "c"], examples=["x", "yz 1"]
    )
    check_examples(traced, signatures)
    with pytest.raises(tf.errors.InvalidArgumentError, match="31 tokens"):
        traced["serving_default"](texts=tf.constant(["a " * 16]))


def test_segments_are_zeros():
    trunk = kbm.models.encoder(259, 31, 1, 2, 8, num_segments=2, pad_id=256)
    model = kbm.models.text_classifier(trunk, 7)
    traced, signatures = serve(model, BYTES, examples=["x", "yz 1"], top_k=2)
    check_examples(traced, signatures)
    answer = traced["serving_default"](texts=tf.constant(["ab"]))
    assert answer["labels"].shape == (1, 2)
    segments = np.zeros((1, 2), "int32")
    logits = model({"token_ids": np.array([[97, 98]]), "segment_ids": segments})
    best = str(np.argmax(logits[0])).encode()
    assert answer["labels"].numpy()[0, 0] == best
