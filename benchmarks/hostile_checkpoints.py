"""Loads thousands of mutated checkpoints; each must be refused or be good.

    python -m benchmarks.hostile_checkpoints [count]

Prints how many were refused, the longest time and the memory that was added,
and ends with status 1 if anything but a ValueError came, or if a checkpoint
took more than 5 seconds or 256 MB.
"""

import io
import pathlib
import resource
import sys
import tempfile
import time
import traceback
import zipfile

import keras_bigmodel as kbm
from tests.huggingface import hostile

FIXTURES = pathlib.Path("tests/huggingface/fixtures")
CASES = (
    ("llama", "yarn"),
    ("bert", "masked"),
    ("t5", "plain"),
    ("vit", "gray"),
)
SECONDS, MEGABYTES = 5, 256


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def good_files(family, variant):
    with zipfile.ZipFile(FIXTURES / f"{family}.zip") as archive:
        return {
            name: archive.read(f"{variant}/{name}")
            for name in ("config.json", "model.safetensors")
        }


def run(count):
    goods = [good_files(*case) for case in CASES]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for files in goods:
            for file, content in files.items():
                (folder / file).write_bytes(content)
            kbm.huggingface.load(folder)
        before, longest, refused, wrong = peak_megabytes(), 0.0, 0, 0
        largest = 0.0
        for seed in range(count):
            hostile.write_mutated(folder, goods[seed % len(goods)], seed)
            start, peak = time.perf_counter(), peak_megabytes()
            try:
                kbm.huggingface.load(folder)
            except ValueError:
                refused += 1
            except Exception:
                wrong += 1
                text = io.StringIO()
                traceback.print_exc(file=text)
                print(f"seed {seed}: {text.getvalue()[-600:]}")
            longest = max(longest, time.perf_counter() - start)
            added = peak_megabytes() - peak
            largest = max(largest, added)
            if added > MEGABYTES / 4:
                print(f"seed {seed}: {added:.0f} MB")
    added = peak_megabytes() - before
    print(
        f"{count} mutated checkpoints: {refused} refused, "
        f"{count - refused - wrong} still good, {wrong} with another error; "
        f"longest {longest:.2f} s; at most {largest:.0f} MB for one, "
        f"{added:.0f} MB more memory after all"
    )
    return wrong == 0 and longest < SECONDS and added < MEGABYTES


if __name__ == "__main__":
    sys.exit(not run(int(sys.argv[1]) if len(sys.argv) > 1 else 5000))
