import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.export import proof, saved_model
from keras_bigmodel.export.signatures.signature import Signature


def signature(**changes):
    spec = {"x": tf.TensorSpec([None], tf.float32)}
    plain = Signature(
        call=lambda x: {"y": 2 * x, "n": tf.size(x)},
        inputs=spec,
        examples=lambda: [{"x": [1, 3]}],
        expect=lambda example: {"y": [2.0, 6.0], "n": 2},
    )
    return dataclasses.replace(plain, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proof") / "1"
    saved_model.write({"double": signature()}, folder)
    return folder


def test_equal_answers_are_told(folder):
    proved = proof.prove(
        folder,
        {"double": signature()},
        [("double", {"x": np.zeros(7, "float32")})],
    )
    ((name, rows, milliseconds, compared),) = proved.runs
    assert (name, rows, compared) == ("double", 2, ["y", "n"])
    assert milliseconds > 0 and proved.load_ms > 0
    table = proved.table()
    assert "| double | 2 | " in table and "| y, n |" in table
    assert "| ops outside TensorFlow's core | none |" in table


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"y": np.float32([2, 6.1])}, r"double.y=\[2.0, 6.0\], expected"),
        ({"y": np.float32([2])}, r"double.y="),
        ({"n": 3}, r"double.n=2, expected 3"),
    ],
)
def test_other_answers_are_an_error(folder, expected, message, monkeypatch):
    answer = {"y": np.float32([2, 6]), "n": np.int32(2)}
    times = {"load": 1.0, "run": [1.0]}
    monkeypatch.setattr(proof, "_run", lambda *unused: ([answer], times))
    signatures = {"double": signature(expect=lambda example: expected)}
    with pytest.raises(RuntimeError, match=message):
        proof.prove(folder, signatures)


def test_a_model_that_does_not_run_is_an_error(folder):
    signatures = {"other": signature()}
    with pytest.raises(RuntimeError, match="does not run in a fresh process"):
        proof.prove(folder, signatures)


def test_a_foreign_op_is_an_error(folder, monkeypatch):
    findings = {"ops outside TensorFlow's core": ["Alien"]}
    monkeypatch.setattr(proof.graph_search, "search", lambda _: findings)
    with pytest.raises(RuntimeError, match="Received: ops=.'Alien'"):
        proof.prove(folder, {"double": signature()})
