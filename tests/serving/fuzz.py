"""Sends malformed requests to served models: refused or answered, or it fails.

    python -m tests.serving.fuzz [--count=10000] [--seed=0]

Each request is a good one with one to three inputs spoiled: empty, NUL and
invalid UTF-8, long, of another rank, size or type, huge and negative numbers,
NaN, missing or too many. TensorFlow's C++ loader runs them; a crash, a hang, or
an error that is not INVALID_ARGUMENT ends the program with status 1.
"""

import argparse
import collections
import pathlib
import random
import sys
import tempfile
from collections.abc import Sequence

import numpy as np

from tests.serving import harness, served

MODELS = (served.language_model, served.image_classifier)
PIECE = 2500
TEXTS = (
    *(b"", b"\x00", b"\xff\xfe\xfd", b"\xe4\xbd", b" " * 60, b"a" * 38),
    *(b"a " * 51, b"\n\r\t", "𝕏́".encode() * 9, b"a" * 100_000),
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a" + b"\x00" * 30),
    *(b"\x89PNG\r\n\x1a\n" + b"\x7f" * 40, b"\xff\xd8\xff" + b"\x01" * 90),
)
INTEGERS = (0, -1, 1, 2, 7, 258, 259, 2**31 - 1, -(2**31), 10**6)
FLOATS = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e-45, 3e38, -3e38, 0.5, 2.0)


def spoil(value: np.ndarray, chance: random.Random) -> np.ndarray:
    """Return an input with something wrong."""
    way = chance.randrange(6)
    if way == 0:
        return value[: chance.randrange(len(value))] if value.ndim else value
    if way == 1:
        return value[None] if chance.random() < 0.5 else value.reshape(-1)[0:1]
    if way == 2:
        kinds = ("float32", "int32", "int64", "bool", "float64", "uint8")
        return np.zeros(value.shape, chance.choice(kinds))
    if way == 3:
        return np.concatenate([value] * chance.randrange(2, 40))
    changed = value.copy()
    choices = {"O": TEXTS, "f": FLOATS, "i": INTEGERS, "b": (True, False)}
    choices = choices[value.dtype.kind]
    flat = changed.reshape(-1)
    for _ in range(chance.randrange(1, 4) if flat.size else 0):
        flat[chance.randrange(flat.size)] = chance.choice(choices)
    return changed


def malformed(good: list, chance: random.Random) -> tuple[str, dict]:
    """Return a good request, spoiled."""
    name, inputs = chance.choice(good)
    inputs = dict(inputs)
    for key in chance.sample(sorted(inputs), min(len(inputs), 3)):
        if chance.random() < 0.6:
            inputs[key] = spoil(inputs[key], chance)
    way = chance.randrange(20)
    if way == 0:
        inputs.pop(chance.choice(sorted(inputs)))
    elif way == 1:
        inputs["unknown"] = np.zeros(3, "float32")
    return name, inputs


def run(
    count: int, seed: int, folder: pathlib.Path, names: Sequence[str] = ()
) -> dict[str, list]:
    """Send `count` requests; return them by what came back.

    Args:
        count: how many.
        seed: of what is wrong with them.
        folder: where the models are written to.
        names: signatures of the language model; none: all.
    """
    chance = random.Random(seed)
    found = collections.defaultdict(list)
    for number, make in enumerate(MODELS):
        wanted = names if make is served.language_model else ()
        model = make(folder / str(number), wanted)
        good = model.requests()
        share = count // len(MODELS)
        for start in range(0, share, PIECE):
            size = min(PIECE, share - start)
            asked = [malformed(good, chance) for _ in range(size)]
            report = harness.run(model.folder, asked, seconds=1200)
            for (name, _), answer, ms in zip(
                asked, report.answers, report.request_ms, strict=True
            ):
                kind = answer.error.split(":")[0] or "answered"
                found[kind].append((name, answer.error, ms))
    return found


def main() -> int:
    """Run the tool and say what came."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(options.count, options.seed, pathlib.Path(folder))
    for kind, answers in sorted(found.items()):
        slowest = max(ms for *_, ms in answers)
        print(f"{kind}: {len(answers)} requests, slowest {slowest:.0f} ms")
    wrong = set(found) - {"answered", "INVALID_ARGUMENT"}
    for kind in wrong:
        for name, error, _ in found[kind][:3]:
            print(f"  {name}: {error[:300]}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
