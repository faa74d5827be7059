import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.export import fresh_process


def test_messages_come_back(tmp_path):
    path = str(tmp_path / "messages")
    first = {
        "x": np.float32([[1, np.nan]]),
        "text": np.array([b"\xff\x00"], object),
    }
    fresh_process.write_messages(path, [("a", first), ("b", {})])
    (name, tensors), empty = fresh_process.read_messages(path)
    assert name == "a" and empty == ("b", {})
    np.testing.assert_array_equal(tensors["x"], first["x"])
    assert tensors["text"].tolist() == [b"\xff\x00"]


class Double(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def double(self, x):
        return {"y": 2 * x}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("double") / "1")
    double = Double()
    tf.saved_model.save(double, folder, signatures={"double": double.double})
    return folder


def test_main_runs_requests(model, tmp_path):
    asked, answered = str(tmp_path / "asked"), str(tmp_path / "answered")
    x = np.float32([1, 2])
    fresh_process.write_messages(asked, [("double", {"x": x})])
    fresh_process.main(model, asked, answered)
    (_, times), (name, tensors) = fresh_process.read_messages(answered)
    assert times["load"] > 0 and times["run"].shape == (1,)
    assert name == "double" and tensors["y"].tolist() == [2, 4]


def test_keras_cannot_be_imported_in_the_process(tmp_path):
    script = pathlib.Path(fresh_process.__file__).read_text()
    head = script[: script.index("import tensorflow")]
    for name in ("keras", "keras_bigmodel"):
        done = subprocess.run(
            [sys.executable, "-c", f"{head}\nimport {name}"],
            capture_output=True,
            text=True,
        )
        assert f"import of {name} halted" in done.stderr
