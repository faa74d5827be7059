"""Measures how long loading takes, and how much memory, beside transformers.

    python -m benchmarks.loading [--sizes gpt2,llama]

Writes checkpoints of random float32 weights into a temporary folder, then
loads each in processes of their own, first to read the file into the page
cache, then three times by turns. transformers maps its tensors and reads them
when they are first used, so each side also runs one forward pass. Prints the
medians and, for ours, the peak memory over that of the import.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

MODELS = {
    "gpt2": {
        "options": {
            "position_encoding": "learned",
            "activation": "gelu_tanh",
        },
        "sizes": (50257, 1024, 12, 12, 768),
    },
    "llama": {
        "options": {
            "normalization": "rms",
            "activation": "silu",
            "gated": True,
            "use_bias": False,
            "num_key_value_heads": 4,
        },
        "sizes": (32000, 2048, 12, 16, 1024, 2816),
    },
}

OURS = """
import json, resource, sys, time
import numpy as np, keras, keras_bigmodel as kbm
kbm.huggingface.load
np.asarray(keras.ops.ones((1, 1)))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, start = peak(), time.perf_counter()
model, _ = kbm.huggingface.load(sys.argv[1])
loaded, added = time.perf_counter(), peak() - before
np.asarray(model(np.array([[3, 5, 7]])))
weights = sum(4 * np.prod(w.shape) for w in model.weights)
print(json.dumps({"load": loaded - start, "run": time.perf_counter() - start,
                  "memory": float(added / weights)}))
"""
THEIRS = """
import json, sys, time
import torch, transformers
from transformers import AutoModelForCausalLM
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
start = time.perf_counter()
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
loaded = time.perf_counter()
model(torch.tensor([[3, 5, 7]]))
print(json.dumps({"load": loaded - start, "run": time.perf_counter() - start}))
"""


def write(name: str, folder: pathlib.Path) -> None:
    """Writes a checkpoint of random weights."""
    import keras_bigmodel as kbm

    spec = MODELS[name]
    model = kbm.models.decoder_lm(*spec["sizes"], **spec["options"])
    kbm.huggingface.save(model, None, folder)


def measure(code: str, folder: pathlib.Path) -> dict[str, float]:
    """Runs code in a process of its own and returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def compare(name: str) -> None:
    """Prints the figures of one model."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        write(name, folder)
        sides = {"keras_bigmodel": OURS}
        try:
            measure(THEIRS, folder)
            sides["transformers"] = THEIRS
        except RuntimeError:
            print("transformers on PyTorch is not installed: ours alone")
        measure(OURS, folder)
        runs: dict[str, list] = {side: [] for side in sides}
        for _ in range(3):
            for side, code in sides.items():
                runs[side].append(measure(code, folder))
        for side, found in runs.items():
            medians = {
                key: statistics.median(run[key] for run in found)
                for key in found[0]
            }
            memory = medians.get("memory")
            print(
                f"{name}, {side}: loaded in {medians['load']:.2f} s, loaded "
                f"and run once in {medians['run']:.2f} s"
                + (f", {memory:.2f} x the weights in memory" if memory else "")
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=",".join(MODELS))
    for model_name in parser.parse_args().sizes.split(","):
        compare(model_name)
