"""Proves a written SavedModel: run without Keras, compared with memory."""

import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from keras_bigmodel.export import fresh_process
from keras_bigmodel.export.signatures.signature import Signature

# Floats that two graphs of the same sums may differ by.
TOLERANCE = 1e-3


def prove(folder: pathlib.Path, signatures: dict[str, Signature]) -> str:
    """Runs every signature of a written folder in a fresh process.

    Args:
        folder: The SavedModel.
        signatures: What it was written from.

    Returns:
        A table of what was run and compared.

    Raises:
        RuntimeError: If the folder does not run or answers otherwise.
    """
    requests = [
        (name, example)
        for name, signature in signatures.items()
        for example in signature.examples
    ]
    answers = _run(folder, requests)
    lines = []
    for (name, example), answer in zip(requests, answers, strict=True):
        compared = _compare(name, signatures[name].expect(example), answer)
        lines.append(f"{name}: {', '.join(compared)} equal")
    return "\n".join(lines)


def _run(folder: pathlib.Path, requests: list) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        asked = os.path.join(scratch, "requests")
        answered = os.path.join(scratch, "answers")
        fresh_process.write_messages(asked, requests)
        done = subprocess.run(
            [
                *[sys.executable, "-P", fresh_process.__file__],
                *[str(folder), asked, answered],
            ],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(
                "The exported model does not run in a fresh process:\n"
                f"{done.stderr.strip()[-4000:]}"
            )
        answers = fresh_process.read_messages(answered)
    return [answer for _, answer in answers]


def _compare(
    name: str, expected: dict[str, Any], answer: dict[str, Any]
) -> list[str]:
    for key, wanted in expected.items():
        wanted, came = np.asarray(wanted), answer[key]
        if wanted.dtype.kind == "f":
            equal = wanted.shape == came.shape and np.allclose(
                wanted, came, TOLERANCE, TOLERANCE, equal_nan=True
            )
        else:
            equal = wanted.tolist() == came.tolist()
        if not equal:
            raise RuntimeError(
                f"The exported model answers otherwise than the model in "
                f"memory. Received: {name}.{key}={came.tolist()!r:.500}, "
                f"expected {wanted.tolist()!r:.500}"
            )
    return list(expected)
