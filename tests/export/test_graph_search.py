import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.export import eight_bit, graph_search


class Suspect(tf.Module):
    def __init__(self):
        super().__init__()
        self.count = tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def bad(self, x):
        self.count.assign_add(1.0)
        with tf.device("/device:GPU:0"):
            y = tf.sin(x)
        with tf.device("/device:CPU:0"):
            y += tf.cos(x)
        return {"y": y + self.inner(x)}

    @tf.function(jit_compile=True)
    def inner(self, x):
        return tf.exp(x)

    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def good(self, x):
        return {"y": x + self.count}


def found(tmp_path, name):
    suspect = Suspect()
    signatures = {name: getattr(suspect, name)}
    tf.saved_model.save(suspect, str(tmp_path), signatures=signatures)
    return graph_search.search(tmp_path)


def test_a_plain_graph_has_nothing(tmp_path):
    assert set(map(tuple, found(tmp_path, "good").values())) == {()}


def test_everything_is_found(tmp_path):
    findings = found(tmp_path, "bad")
    assert findings["mutable state"] == ["AssignAddVariableOp"]
    assert findings["ops tied to a GPU"] == ["Sin"]
    assert "Cos" in findings["float ops tied to a CPU"]
    assert findings["graphs for XLA"] != []
    assert findings["ops outside TensorFlow's core"] == []


@pytest.mark.skipif(
    not eight_bit.has_kernel(),
    reason="this build of TensorFlow has no _QuantizedMatMul",
)
def test_a_kernel_of_one_platform_is_found(tmp_path):
    suspect = Suspect()
    suspect.matrix = eight_bit.EightBitMatrix(np.ones((3, 2), "float32"))
    suspect.kept = suspect.matrix.variables
    traced = tf.function(
        lambda x: {"y": suspect.matrix.products(x)}, autograph=False
    ).get_concrete_function(x=tf.TensorSpec([None, 2], name="x"))
    tf.saved_model.save(suspect, str(tmp_path), signatures={"good": traced})
    findings = graph_search.search(tmp_path)
    assert findings.pop("ops of x86-64 Linux alone") == ["_QuantizedMatMul"]
    assert set(map(tuple, findings.values())) == {()}


def test_a_foreign_op_is_found(tmp_path):
    found(tmp_path, "good")
    path = tmp_path / "saved_model.pb"
    # As long as the name it replaces, so that the file stays a message.
    path.write_bytes(path.read_bytes().replace(b"\x05AddV2", b"\x05Alien"))
    findings = graph_search.search(tmp_path)
    assert findings["ops outside TensorFlow's core"] == ["Alien"]
    assert np.all([not v for k, v in findings.items() if "core" not in k])
