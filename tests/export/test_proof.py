import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.export import proof, saved_model
from keras_bigmodel.export.signatures.signature import Signature


class Nothing:
    variables = ()


def signature(**changes):
    spec = {"x": tf.TensorSpec([None], tf.float32)}
    plain = Signature(
        call=lambda x: {"y": 2 * x, "n": tf.size(x)},
        inputs=spec,
        examples=[{"x": np.float32([1, 3])}],
        expect=lambda example: {"y": 2 * example["x"], "n": 2},
    )
    return dataclasses.replace(plain, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proof") / "1"
    saved_model.write(Nothing(), {"double": signature()}, folder)
    return folder


def test_equal_answers_are_told(folder):
    assert proof.prove(folder, {"double": signature()}) == (
        "double: y, n equal"
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"y": np.float32([2, 6.1])}, r"double.y=\[2.0, 6.0\], expected"),
        ({"y": np.float32([2])}, r"double.y="),
        ({"n": 3}, r"double.n=2, expected 3"),
    ],
)
def test_other_answers_are_an_error(folder, wrong, message, monkeypatch):
    answer = {"y": np.float32([2, 6]), "n": np.int32(2)}
    monkeypatch.setattr(proof, "_run", lambda *arguments: [answer])
    signatures = {"double": signature(expect=lambda example: wrong)}
    with pytest.raises(RuntimeError, match=message):
        proof.prove(folder, signatures)


def test_a_model_that_does_not_run_is_an_error(folder):
    signatures = {"double": signature(examples=[{"x": [["text"]]}])}
    with pytest.raises(RuntimeError, match="does not run in a fresh process"):
        proof.prove(folder, signatures)
