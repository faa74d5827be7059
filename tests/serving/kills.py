"""Kills exports at any moment; no version that a reader sees may be half.

    python -m tests.serving.kills [--count=200] [--seed=0]

A process exports a model again and again and is killed at a random moment.
Another looks at the folder all the while, as a server does: each version that
appears must be complete at once and answer as the model in memory.
"""

import argparse
import multiprocessing
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

LONGEST_LIFE = 3.0
PROMPTS = ["Once", "a"]


def export_for_ever(path: str, started: object) -> None:
    """Export a small model until somebody ends the process."""
    import keras

    import keras_bigmodel as kbm

    keras.utils.set_random_seed(3)
    model = kbm.models.lstm_lm(259, 1, 7)
    tokenizer = kbm.text.ByteTokenizer()
    started.set()
    while True:
        kbm.export_saved_model(
            model, path, tokenizer, max_new_tokens=3, prove=False
        )


def versions(path: pathlib.Path) -> set[str]:
    """Return what a server would take for versions."""
    return {name for name in os.listdir(path) if name.isdecimal()}


def contents(version: pathlib.Path) -> dict[str, int]:
    """Return the files of a version with their sizes."""
    return {
        str(file.relative_to(version)): file.stat().st_size
        for file in version.rglob("*")
        if file.is_file()
    }


def watch(path: pathlib.Path, until: float, seen: dict[str, dict]) -> None:
    """Note what each version holds when it is first seen."""
    while time.monotonic() < until:
        for name in versions(path) - set(seen):
            seen[name] = contents(path / name)


def answers(version: pathlib.Path) -> list[bytes]:
    """Return what a version answers."""
    import tensorflow as tf

    serve = tf.saved_model.load(str(version)).signatures["serving_default"]
    return serve(prompts=tf.constant(PROMPTS))["text_bytes"].numpy().tolist()


def run(count: int, seed: int, path: pathlib.Path) -> tuple[int, list[str]]:
    """Kill `count` exports.

    Returns:
        How many versions were seen, and what was wrong with any.
    """
    chance = random.Random(seed)
    # Processes that have imported all, to be killed and replaced at no cost.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["keras_bigmodel.export"])
    wrong, total, expected = [], 0, None
    for number in range(count):
        started = processes.Event()
        exporting = processes.Process(
            target=export_for_ever, args=(str(path), started)
        )
        exporting.start()
        started.wait(120)
        seen: dict[str, dict] = {}
        # One whole export first, so that there is something to compare with.
        while expected is None and not versions(path):
            time.sleep(0.01)
        watch(path, time.monotonic() + chance.uniform(0, LONGEST_LIFE), seen)
        exporting.kill()
        exporting.join()
        for name in sorted(versions(path), key=int):
            answered = answers(path / name)
            expected = expected or answered
            if answered != expected:
                wrong.append(f"kill {number}, version {name}: other answers")
            if seen.get(name, contents(path / name)) != contents(path / name):
                wrong.append(f"kill {number}, version {name}: was seen half")
            total += 1
            shutil.rmtree(path / name)
    return total, wrong


def main() -> int:
    """Run the tool and say what it saw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        total, wrong = run(options.count, options.seed, path)
        left = len(list(path.glob(".partial-*")))
    print(
        f"{options.count} kills, {left} in the middle of an export: {total} "
        f"versions were seen, {len(wrong)} of them half or wrong"
    )
    print("\n".join(wrong[:20]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
