import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from tests.export.signatures.helpers import check_examples, serve


def test_inputs_and_outputs_keep_their_names():
    a = keras.Input((3,), name="a")
    b = keras.Input((None, 2), dtype="int32", name="b")
    total = keras.ops.sum(keras.ops.cast(b, "float32"), axis=(1, 2))
    model = keras.Model({"a": a, "b": b}, {"y": 2 * a, "z": total})
    traced, signatures = serve(model)
    check_examples(traced, signatures)
    answer = traced["serving_default"](
        a=tf.constant([[1.0, 2, 3]]), b=tf.constant([[[4, 5], [6, 7]]])
    )
    assert answer["y"].numpy().tolist() == [[2, 4, 6]]
    assert answer["z"].numpy().tolist() == [22]


def test_half_floats_come_as_floats():
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(2, dtype="bfloat16")(inputs))
    traced, _ = serve(model)
    (output,) = traced["serving_default"](x=tf.zeros([1, 3])).values()
    assert output.dtype == tf.float32


def test_a_regressor():
    model = kbm.models.lstm_regressor(
        num_features=3, num_outputs=2, num_layers=1, units=5
    )
    traced, _ = serve(model)
    x = np.random.default_rng(0).normal(size=(2, 7, 3)).astype("float32")
    (output,) = traced["serving_default"](features=tf.constant(x)).values()
    np.testing.assert_allclose(output, model(x), atol=1e-6)
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        traced["serving_default"](features=tf.zeros([2, 7, 4]))
