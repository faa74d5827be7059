"""Proves a written SavedModel: run without Keras, compared with memory."""

import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_bigmodel.export import fresh_process, graph_search
from keras_bigmodel.export.signatures.signature import Signature

# What floats of two graphs of the same sums may differ by.
TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class Proof:
    """What was run in a fresh process and found equal.

    Args:
        runs: For each run the signature, its rows, the milliseconds it took
            once warm, and the outputs that were compared.
        load_ms: Milliseconds to load the SavedModel.
        findings: What `graph_search.search` found.
    """

    runs: list[tuple[str, int, float, list[str]]]
    load_ms: float
    findings: dict[str, list[str]]

    def table(self) -> str:
        """Returns all of it as Markdown."""
        lines = [
            "| signature | rows | ms | same as in memory |",
            "|---|---|---|---|",
        ]
        for name, rows, milliseconds, compared in self.runs:
            same = ", ".join(compared) or "(only run)"
            lines.append(f"| {name} | {rows} | {milliseconds:.1f} | {same} |")
        lines += [
            "",
            "| looked for | found |",
            "|---|---|",
            "| loads and runs without Keras | yes, loaded in "
            f"{self.load_ms:.0f} ms |",
        ]
        for question, found in self.findings.items():
            lines.append(f"| {question} | {', '.join(found) or 'none'} |")
        return "\n".join(lines)


def prove(
    folder: pathlib.Path,
    signatures: dict[str, Signature],
    others: Sequence[tuple[str, dict[str, np.ndarray]]] = (),
    tolerance: float = TOLERANCE,
) -> Proof:
    """Runs every signature of a written folder in a fresh process.

    Args:
        folder: The SavedModel.
        signatures: What it was written from.
        others: More requests, signatures and their inputs, that must run.
        tolerance: What floats may differ by, absolutely or relatively.

    Raises:
        RuntimeError: If the folder does not run, answers otherwise than the
            model in memory, or holds ops that TensorFlow's core does not have.
    """
    findings = graph_search.search(folder)
    foreign = findings["ops outside TensorFlow's core"]
    if foreign:
        raise RuntimeError(
            "A server has TensorFlow's core ops alone, and this model needs "
            f"others. Received: ops={foreign}"
        )
    requests = [
        (name, example)
        for name, signature in signatures.items()
        for example in signature.examples()
    ]
    asked = [(name, signatures[name].arrays(e)) for name, e in requests]
    answers, times = _run(folder, [*asked, *others])
    runs = []
    for index, (name, example) in enumerate(requests):
        expected = signatures[name].expect(example)
        compared = _compare(name, expected, answers[index], tolerance)
        rows = len(next(iter(asked[index][1].values())))
        runs.append((name, rows, float(times["run"][index]), compared))
    return Proof(runs, float(times["load"]), findings)


def _run(folder: pathlib.Path, requests: list) -> tuple[list, dict]:
    """Returns the answers, and the times that they took."""
    with tempfile.TemporaryDirectory() as scratch:
        asked = os.path.join(scratch, "requests")
        answered = os.path.join(scratch, "answers")
        fresh_process.write_messages(asked, requests)
        done = subprocess.run(
            [
                *[sys.executable, "-P", fresh_process.__file__],
                *[str(folder), asked, answered],
            ],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(
                "The exported model does not run in a fresh process:\n"
                f"{done.stderr.strip()[-4000:]}"
            )
        (_, times), *answers = fresh_process.read_messages(answered)
    return [answer for _, answer in answers], times


def _compare(
    name: str,
    expected: dict[str, Any],
    answer: dict[str, Any],
    tolerance: float,
) -> list[str]:
    for key, wanted in expected.items():
        wanted, came = np.asarray(wanted), answer[key]
        if wanted.dtype.kind == "f":
            equal = wanted.shape == came.shape and np.allclose(
                wanted, came, tolerance, tolerance, equal_nan=True
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
