"""Runs SavedModels in TensorFlow's C++ loader, the one TF Serving uses.

`loader.cc` is compiled once for each TensorFlow installation; `run` hands it
requests and brings back its answers, errors and times.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import NameAttrList

HERE = pathlib.Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".pytest_cache" / "serving_loader"
COMPILER = shutil.which(os.environ.get("CXX", "g++"))

# REQUIRE_CXX=1 turns the skip into a failure, so that CI cannot lose the test.
needs_compiler = pytest.mark.skipif(
    (COMPILER is None or sys.platform != "linux")
    and os.environ.get("REQUIRE_CXX") != "1",
    reason="needs Linux and a C++ compiler (g++, or what $CXX names)",
)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one request gave: outputs by name, or an error."""

    outputs: dict[str, np.ndarray]
    error: str


@dataclasses.dataclass(frozen=True)
class Report:
    """The answers of each thread, in the requests' order, and the times.

    `request_ms` holds, thread after thread, each request's median over its
    repetitions. In the seconds of load that follow, `answered` requests were
    answered, `changed` of them otherwise than the first time, and
    `resident_kib` is the memory once a second.
    """

    threads: list[list[Answer]]
    load_ms: float
    run_ms: float
    request_ms: list[float]
    peak_kib: int
    answered: int
    changed: int
    resident_kib: list[int]

    @property
    def answers(self) -> list[Answer]:
        """The first thread's answers."""
        return self.threads[0]


@functools.cache
def compiled_loader() -> pathlib.Path:
    """The loader's program, compiled now if it was not yet."""
    if COMPILER is None:
        raise FileNotFoundError("There is no C++ compiler: install g++.")
    wheel = pathlib.Path(tf.__file__).parent
    source = HERE / "loader.cc"
    flags = [
        *["-w", "-O1", "-std=c++17", "-D_GLIBCXX_USE_CXX11_ABI=1"],
        *["-DEIGEN_MAX_ALIGN_BYTES=64", f"-I{wheel / 'include'}", str(source)],
        *[f"-L{wheel}", "-l:libtensorflow_cc.so.2"],
        *["-l:libtensorflow_framework.so.2", f"-Wl,-rpath,{wheel}"],
    ]
    key = hashlib.sha256(
        repr((tf.__version__, COMPILER, flags)).encode() + source.read_bytes()
    ).hexdigest()[:16]
    program = CACHE / f"loader-{key}"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        # Renamed when complete: two test runs may compile at once.
        fresh = program.with_suffix(f".{os.getpid()}")
        subprocess.run([COMPILER, *flags, "-o", str(fresh)], check=True)
        fresh.rename(program)
    return program


def run(
    model: str | os.PathLike,
    requests: Sequence[tuple[str, Mapping[str, object]]],
    threads: int = 1,
    repeat: int = 1,
    timeout_ms: int = 0,
    load_seconds: int = 0,
    seconds: float = 300.0,
    environment: Mapping[str, str] | None = None,
) -> Report:
    """Load a SavedModel and run requests in it, each thread all of them.

    Args:
        model: a version folder, such as `saved_models/NAME/1`.
        requests: pairs of a signature's name and its inputs by name; an input
            is whatever `tf.make_tensor_proto` takes, with its final dtype.
        threads: how many threads run the requests at the same time.
        repeat: how often each request is run; times are medians.
        timeout_ms: the deadline of each request; 0 is none.
        load_seconds: how long the threads go on asking after that.
        seconds: after these, and the load, the whole program is ended.
        environment: variables of the program beside those of this process.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked = os.path.join(folder, "requests")
        answered = os.path.join(folder, "answers")
        with tf.io.TFRecordWriter(asked) as writer:
            for signature, inputs in requests:
                writer.write(_message(signature, inputs).SerializeToString())
        done = subprocess.run(
            [
                *[str(compiled_loader()), os.fspath(model), asked, answered],
                f"--threads={threads}",
                f"--repeat={repeat}",
                f"--timeout_ms={timeout_ms}",
                f"--seconds={load_seconds}",
            ],
            env={
                **os.environ,
                "TF_CPP_MIN_LOG_LEVEL": "2",
                **(environment or {}),
            },
            capture_output=True,
            text=True,
            timeout=seconds + load_seconds,
        )
        if done.returncode:
            raise RuntimeError(
                f"The C++ loader ended with {done.returncode}:\n{done.stderr}"
            )
        answers = [
            _answer(record.numpy())
            for record in tf.data.TFRecordDataset(answered)
        ]
    count = len(requests)
    return Report(
        threads=[answers[i * count : (i + 1) * count] for i in range(threads)],
        **json.loads(done.stdout),
    )


def _message(signature: str, inputs: Mapping[str, object]) -> NameAttrList:
    message = NameAttrList(name=signature)
    for name, value in inputs.items():
        message.attr[name].tensor.CopyFrom(tf.make_tensor_proto(value))
    return message


def _answer(record: bytes) -> Answer:
    message = NameAttrList.FromString(record)
    outputs = {
        name: tf.make_ndarray(value.tensor)
        for name, value in message.attr.items()
    }
    return Answer(outputs, message.name)
