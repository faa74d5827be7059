"""The C++ loader itself, tried on a small module of plain TensorFlow."""

import re

import numpy as np
import pytest
import tensorflow as tf

from tests.serving import harness

pytestmark = [pytest.mark.tensorflow, harness.needs_compiler]


class Small(tf.Module):
    """Signatures that read a variable, a table, strings, and one for XLA."""

    def __init__(self):
        super().__init__()
        self.weights = tf.Variable(tf.reshape(tf.range(6.0), (2, 3)))
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(["two", "three"]), tf.constant([2, 3], tf.int64)
            ),
            default_value=-1,
        )

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def numeric(self, x):
        return {"y": x @ self.weights, "count": tf.shape(x)[:1]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def words(self, text):
        tf.debugging.assert_less(
            tf.strings.length(text), 7, message="at most 6 bytes a text"
        )
        return {"text": text + "!", "number": self.table.lookup(text)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, "steps")])
    def slow(self, steps):
        (x,) = tf.while_loop(
            lambda x: x < steps, lambda x: (x + 1,), (tf.constant(0),)
        )
        return {"x": x}

    @tf.function(
        input_signature=[tf.TensorSpec([None], name="x")], jit_compile=True
    )
    def compiled(self, x):
        return {"y": x * 2.0}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("small") / "1")
    small = Small()
    names = ("numeric", "words", "slow", "compiled")
    signatures = {name: getattr(small, name) for name in names}
    tf.saved_model.save(small, folder, signatures=signatures)
    return folder


X = np.float32([[1, 10], [100, 1000], [0, 1]])
Y = np.float32([[30, 41, 52], [3000, 4100, 5200], [3, 4, 5]])
WORDS = [b"three", b"\xff\x00\xfe", b"", "二".encode()]


def test_numbers_and_strings_come_back(model):
    numeric = ("numeric", {"x": X})
    words = ("words", {"text": WORDS})
    report = harness.run(model, [numeric, words])
    first, second = report.answers
    assert first.error == second.error == ""
    np.testing.assert_array_equal(first.outputs["y"], Y)
    np.testing.assert_array_equal(first.outputs["count"], [3])
    assert second.outputs["text"].tolist() == [word + b"!" for word in WORDS]
    np.testing.assert_array_equal(second.outputs["number"], [3, -1, -1, -1])
    assert second.outputs["number"].dtype == np.int64
    assert report.load_ms > 0 and report.peak_kib > 1000


def test_every_thread_answers_every_request(model):
    requests = [("numeric", {"x": X[:rows]}) for rows in (1, 2, 3)]
    report = harness.run(model, requests, threads=5, repeat=7)
    assert len(report.threads) == 5 and len(report.request_ms) == 15
    for answers in report.threads:
        for rows, answer in zip((1, 2, 3), answers, strict=True):
            np.testing.assert_array_equal(answer.outputs["y"], Y[:rows])


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (("nothing", {}), "NOT_FOUND: no signature named nothing"),
        (("numeric", {}), "INVALID_ARGUMENT: input size does not match"),
        (("numeric", {"z": X}), "INVALID_ARGUMENT: missing or broken input: x"),
        (("numeric", {"x": X[:, :1]}), "INVALID_ARGUMENT: Matrix size"),
        (("words", {"text": [b"sevenly"]}), "INVALID_ARGUMENT: .*at most 6"),
        (("compiled", {"x": X[0]}), "XLA compilation disabled"),
    ],
)
def test_errors_are_answers(model, request_, error):
    good = ("numeric", {"x": X})
    refused, served = harness.run(model, [request_, good]).answers
    assert refused.outputs == {}
    assert re.search(error, refused.error)
    np.testing.assert_array_equal(served.outputs["y"], Y)


def test_a_deadline_ends_a_long_request(model):
    endless = ("slow", {"steps": np.int32(2**31 - 1)})
    report = harness.run(model, [endless], timeout_ms=200)
    assert "DEADLINE_EXCEEDED" in report.answers[0].error
    assert 150 < report.request_ms[0] < 5000


def test_a_missing_model_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="Could not find SavedModel"):
        harness.run(tmp_path, [])
