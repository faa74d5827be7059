"""Safetensors files, against the library of that name."""

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from keras_bigmodel.huggingface.tensor_file import (
    SafetensorsFile,
    write_safetensors,
)

RANDOM = np.random.default_rng(0)
TENSORS = {
    "matrix": RANDOM.normal(size=(3, 5)).astype("float32"),
    "double": RANDOM.normal(size=(2, 3, 5)),
    "half": RANDOM.normal(size=7).astype("float16"),
    "scalar": np.array(2.5, "float32"),
    "empty": np.zeros((0, 3), "float32"),
    "integers": np.arange(11, dtype="int64"),
    "booleans": np.array([True, False]),
}


def test_what_the_library_writes_is_read(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path, metadata={"format": "np"})
    file = SafetensorsFile(path)
    assert file.metadata == {"format": "np"}
    assert set(file.places) == set(TENSORS)
    for name, value in TENSORS.items():
        read = file.read(name)
        assert read.dtype == value.dtype
        np.testing.assert_array_equal(read, value)
        file.release(name)
        np.testing.assert_array_equal(file.read(name), value)


def test_what_is_written_the_library_reads(tmp_path):
    path = tmp_path / "model.safetensors"
    listed = [(name, v.dtype, v.shape) for name, v in TENSORS.items()]
    write_safetensors(path, listed, TENSORS.__getitem__)
    with safe_open(path, "np") as file:
        assert set(file.keys()) == set(TENSORS)
        for name, value in TENSORS.items():
            np.testing.assert_array_equal(file.get_tensor(name), value)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_bfloat16(tmp_path):
    value = np.array([[1.0, -2.5], [3e38, 0]], ml_dtypes.bfloat16)
    path = tmp_path / "model.safetensors"
    # A transposed tensor is written in the order of its own axes.
    listed = [("a", value.dtype, value.shape)]
    write_safetensors(path, listed, lambda name: value.T)
    read = SafetensorsFile(path).read("a")
    assert read.dtype == value.dtype
    np.testing.assert_array_equal(read, value.T)


def test_tensors_cannot_be_written_to(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path)
    with pytest.raises(ValueError, match="read-only"):
        SafetensorsFile(path).read("matrix")[0] = 0


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")

    def value_of(name):
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk is full"):
        write_safetensors(path, [("a", np.dtype("f4"), (2,))], value_of)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_no_file(tmp_path):
    with pytest.raises(ValueError, match="cannot be read.*Received: path="):
        SafetensorsFile(tmp_path / "model.safetensors")
