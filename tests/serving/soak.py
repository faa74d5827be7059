"""Keeps a served model under mixed load and watches its memory and answers.

    python -m tests.serving.soak [--minutes=30] [--clients=8]

TensorFlow's C++ loader runs all signatures of a language model, with batches of
1 and 3 rows and some requests that are refused, from several threads at once.
Every answer is compared with the first one of its thread, and those with the
model in memory. The first fifth of the time warms up; after it, memory may grow
by 1 %. Otherwise the program ends with status 1.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Sequence

import numpy as np

from keras_bigmodel.export.warmup import warmup_requests
from tests.serving import harness, served

WARM_UP = 0.2
MOST_DRIFT = 0.01


def mixed_load(model: served.Served) -> list[tuple[str, dict]]:
    """Return requests of all signatures and sizes, and some to refuse."""
    texts = {"serving_default": "prompts", "score": "texts"}
    refused = [
        (name, {texts[name]: value})
        for name in texts
        for value in ([b"a " * 51], np.array([], object))
        if name in model.signatures
    ]
    return [
        *model.requests(),
        *warmup_requests(model.signatures, (1, 3)),
        *refused,
    ]


def drift(resident: list[int]) -> float:
    """Return by which part memory grew between warm-up and end."""
    start = int(len(resident) * WARM_UP)
    piece = max((len(resident) - start) // 5, 1)
    first = statistics.mean(resident[start : start + piece])
    return statistics.mean(resident[-piece:]) / first - 1


def different(model: served.Served, report: harness.Report) -> int:
    """Return how many first answers are not those of the model in memory."""
    examples = [
        (signature, example)
        for signature in model.signatures.values()
        for example in signature.examples()
    ]
    count = 0
    for answers in report.threads:
        for (signature, example), answer in zip(
            examples, answers, strict=False
        ):
            for key, wanted in signature.expect(example).items():
                count += not same(wanted, answer.outputs.get(key))
    return count


def same(wanted: object, came: np.ndarray | None) -> bool:
    """Tell whether two outputs are equal, floats nearly."""
    wanted = np.asarray(wanted)
    if came is None or wanted.shape != came.shape:
        return False
    if wanted.dtype.kind == "f":
        return np.allclose(wanted, came, 1e-4, 1e-4)
    return wanted.tolist() == came.tolist()


def run(
    seconds: int,
    clients: int,
    folder: pathlib.Path,
    names: Sequence[str] = (),
) -> tuple[harness.Report, int]:
    """Load the model; return the report and how many answers are wrong."""
    model = served.language_model(folder, names)
    report = harness.run(
        folder, mixed_load(model), threads=clients, load_seconds=seconds
    )
    return report, different(model, report)


def main() -> int:
    """Run the tool and say what it saw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report, wrong = run(
            round(60 * options.minutes), options.clients, pathlib.Path(folder)
        )
    grown = drift(report.resident_kib)
    print(
        f"{options.minutes:g} minutes, {options.clients} clients: "
        f"{report.answered:,} requests answered, {report.changed} otherwise "
        f"than at first, {wrong} otherwise than in memory; memory at the end "
        f"{report.resident_kib[-1] / 1024:.0f} MB, {100 * grown:+.2f} % since "
        "the warm-up"
    )
    return bool(report.changed or wrong or grown > MOST_DRIFT)


if __name__ == "__main__":
    sys.exit(main())
