import numpy as np
import tensorflow as tf

from keras_bigmodel.export.signatures.row_sampling import (
    RowPenalty,
    RowSampler,
)
from keras_bigmodel.generation.processors import Penalties
from keras_bigmodel.generation.samplers import Sample

LOGITS = np.random.default_rng(0).normal(size=(5, 11)).astype("float32")
UNIFORMS = np.float32([0.1, 0.9, 0.5, 0.3, 0.7])


def rows(**values):
    values = {
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        **values,
    }
    return {
        name: tf.constant(np.broadcast_to(value, 5), None)
        for name, value in {
            name: np.asarray(value, "int32" if name == "top_k" else "float32")
            for name, value in values.items()
        }.items()
    }


def pick(**values):
    picked = RowSampler().pick(
        tf.constant(LOGITS), tf.constant(UNIFORMS), rows(**values)
    )
    return picked.numpy().tolist()


def test_temperature_zero_is_greedy():
    assert pick(temperature=0) == LOGITS.argmax(axis=-1).tolist()


def test_rows_are_drawn_as_alone():
    mixed = pick(temperature=[0, 2, 0.5, 0, 1], top_k=[0, 3, 0, 1, 0])
    for index, (temperature, top_k) in enumerate(
        [(0, 0), (2, 3), (0.5, 0), (0, 1), (1, 0)]
    ):
        alone = pick(temperature=temperature, top_k=top_k)
        assert mixed[index] == alone[index]


def test_options_that_leave_all_are_plain_sampling():
    plain = Sample(temperature=1.7).pick(
        tf.constant(LOGITS), tf.constant(UNIFORMS), rows(temperature=1.7)
    )
    assert pick(temperature=1.7) == plain.numpy().tolist()


def test_the_penalty_is_that_of_generation():
    prompt = tf.constant([[1, 2], [3, 3], [4, 5], [6, 7], [8, 9]])
    visible = tf.constant([[True, True]] * 4 + [[True, False]])
    logits, count = tf.constant(LOGITS), tf.zeros([5], tf.int32)
    options = rows(repetition_penalty=[1, 2, 3, 0.5, 1.1])
    none = {"presence_penalty": tf.zeros(5), "frequency_penalty": tf.zeros(5)}
    ours, plain = RowPenalty(11), Penalties(11)
    memories = [part.start(prompt, visible) for part in (ours, plain)]
    for picked in ([5, 6, 7, 8, 10], [0, 6, 1, 2, 3]):
        memory, expected = memories
        same = ours.process(logits, memory, count, rows())
        np.testing.assert_array_equal(same, LOGITS)
        changed = ours.process(logits, memory, count, options)
        expected = plain.process(logits, expected, count, options | none)
        np.testing.assert_array_equal(changed, expected)
        assert np.any(changed != LOGITS)
        memories = [
            part.update(memory, tf.constant(picked))
            for part, memory in zip((ours, plain), memories, strict=True)
        ]
