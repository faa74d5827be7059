import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from keras_bigmodel.export.signatures.decoding import Decoder
from keras_bigmodel.export.signatures.options import greedy_options


@pytest.mark.parametrize("jit_compile", [False, True])
def test_steps_are_the_whole_and_the_context_is_read(jit_compile):
    model = kbm.models.lstm_lm(11, 1, 5)

    def step(token_ids, context):
        return model(token_ids) + context["bias"][:, None]

    spec = tf.TensorSpec([None, 11], tf.float32)
    decoder = Decoder(step, 11, None, [], {"bias": spec}, jit_compile)
    options = greedy_options(tf.constant(2), 6)
    bias = np.random.default_rng(0).normal(size=(2, 11)).astype("float32")
    token_ids, lengths = tf.constant([[1, 2, 3], [4, 0, 0]]), [3, 1]
    context = {"bias": tf.constant(bias)}
    start = decoder.start(token_ids, tf.constant(lengths), options, context)
    _, whole = decoder.advance(start, tf.constant(6))
    state, parts = start, []
    for steps in (1, 3, 9):
        state, made = decoder.advance(state, tf.constant(steps))
        counts = made["num_tokens"].numpy().tolist()
        parts.append(made["token_ids"].numpy()[:, : counts[0]])
    together = np.concatenate(parts, axis=1)
    np.testing.assert_array_equal(together, whole["token_ids"])
    assert made["is_finished"].numpy().all()
    assert not made["is_stopped"].numpy().any()
    for row, ids in enumerate([[1, 2, 3], [4]]):
        for made in together[row]:
            logits = model(np.array([ids]))[0, -1] + bias[row]
            assert made == np.argmax(logits)
            ids = [*ids, made]


def test_a_stop_token_ends_a_row():
    model = kbm.models.lstm_lm(11, 1, 5)
    made = kbm.generate(model, [1, 2], max_new_tokens=1)
    decoder = Decoder(lambda ids, context: model(ids), 11, None, made)
    options = greedy_options(tf.constant(1), 4)
    state = decoder.start(tf.constant([[1, 2]]), tf.constant([2]), options)
    _, outputs = decoder.advance(state, tf.constant(4))
    assert outputs["num_tokens"].numpy().tolist() == [0]
    assert outputs["is_stopped"].numpy().tolist() == [True]
    assert outputs["token_ids"].numpy().tolist() == [[0] * 4]
