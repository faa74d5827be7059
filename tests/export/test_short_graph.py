import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from keras_bigmodel.export.short_graph import shorten

pytestmark = pytest.mark.tensorflow


class Knotty(tf.Module):
    """Refers to nodes by name: in loops, calls, controls, second outputs."""

    def __init__(self):
        self.table = tf.Variable(np.arange(12, dtype="float32").reshape(4, 3))

    @tf.function(input_signature=[tf.TensorSpec([None], name="n0")])
    def inner(self, n0):
        with tf.name_scope("a_long_scope_of_the_inner_function"):
            values, where = tf.math.top_k(n0, 2)
            return values, tf.cast(where, tf.float32)

    @tf.function(
        input_signature=[tf.TensorSpec([None, 3], name="n1")], autograph=False
    )
    def run(self, n1):
        with tf.name_scope("a_long_scope_of_the_outer_function"):
            check = tf.debugging.assert_less(n1, 100.0, message="too large")
            with tf.control_dependencies([check]):
                x = n1 + self.table[0]
            _, x = tf.while_loop(
                lambda i, x: i < 3,
                lambda i, x: (i + 1, x @ tf.transpose(self.table) @ self.table),
                (tf.constant(0), x / 100.0),
            )
            parts = tf.split(x, 3, axis=1)
            values, where = self.inner(x[0])
            x = tf.nn.silu(x)  # Has a gradient of its own.
            x = tf.cond(x[0, 0] > 0, lambda: x + parts[1], lambda: -x)
        return {"x": x, "values": values, "where": where}


def test_answers_stay_and_names_go(tmp_path):
    module = Knotty()
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(tmp_path), module.run, options)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    path = tmp_path / "saved_model.pb"
    size, fingerprint = path.stat().st_size, read_fingerprint(tmp_path)
    shorten(tmp_path)
    assert path.stat().st_size < 0.9 * size
    assert read_fingerprint(tmp_path) != fingerprint
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    answer, expected = served(n1=tf.constant(x)), module.run(x)
    for name, wanted in expected.items():
        np.testing.assert_array_equal(answer[name], wanted)
    with pytest.raises(tf.errors.InvalidArgumentError, match="too large"):
        served(n1=tf.constant(x + 100))
    model = SavedModel.FromString(path.read_bytes())
    library = model.meta_graphs[0].graph_def.library
    names = [n.name for f in library.function for n in f.node_def]
    assert max(map(len, names)) < 8
    assert not any(
        "_class" in n.attr for f in library.function for n in f.node_def
    )


def read_fingerprint(folder):
    return tf.saved_model.experimental.read_fingerprint(str(folder))
