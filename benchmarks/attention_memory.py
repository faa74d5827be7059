"""Measures time and peak memory of attention over a long sequence.

One forward and backward pass of a causal self-attention layer, ours and
Keras's, each in a process of its own:

    python benchmarks/attention_memory.py [--length 8192] [--jit]

Keras's layer needs about 2 GB for each score tensor at 8,192 positions.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time

BATCH, HEADS, HEAD_DIM = 1, 8, 64
RESULTS = pathlib.Path(__file__).parent / "results" / "attention.md"


def main() -> None:
    """Measures both layers and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--length", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--jit", action="store_true", help="compile with XLA")
    parser.add_argument("--machine", default=platform.processor())
    parser.add_argument("--layer", choices=("keras", "ours"))
    options = parser.parse_args()
    if options.layer:
        print(json.dumps(measure(options)))
        return
    found = {}
    for layer in ("ours", "keras"):
        command = [sys.executable, __file__, *sys.argv[1:], "--layer", layer]
        result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        found[layer] = json.loads(result.stdout.splitlines()[-1])
    write(found, options)


def measure(options: argparse.Namespace) -> dict:
    """Returns the peak memory over the baseline, and the time of a pass."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import numpy as np
    import tensorflow as tf

    if options.layer == "ours":
        from keras_bigmodel.layers import SelfAttention

        layer = SelfAttention(HEADS, HEAD_DIM, causal=True)
        call = layer
    else:
        layer = keras.layers.MultiHeadAttention(HEADS, HEAD_DIM)

        def call(x: tf.Tensor) -> tf.Tensor:
            return layer(x, x, use_causal_mask=True)

    @tf.function(jit_compile=options.jit)
    def run(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(call(x)))
        weights = [weight.value for weight in layer.trainable_weights]
        return tape.gradient(loss, [x, *weights])

    def inputs(length: int) -> tf.Tensor:
        generator = np.random.default_rng(0)
        shape = (BATCH, length, HEADS * HEAD_DIM)
        return tf.constant(generator.normal(size=shape).astype("float32"))

    call(inputs(8))
    run(inputs(64))
    baseline = peak_memory()
    x, times = inputs(options.length), []
    for _ in range(options.repeats + 1):
        start = time.perf_counter()
        run(x)[0].numpy()
        times.append(time.perf_counter() - start)
    return {
        "memory": peak_memory() - baseline,
        "time": statistics.median(times[1:]),
    }


def peak_memory() -> float:
    """Returns the most this process has held so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(found: dict, options: argparse.Namespace) -> None:
    """Prints the table and keeps it."""
    ours, keras = found["ours"], found["keras"]
    text = "\n".join(
        [
            "# Attention over a long sequence",
            "",
            f"One forward and backward pass: batch {BATCH}, {HEADS} heads of "
            f"{HEAD_DIM}, {options.length:,} positions,",
            f"float32, causal, {'with' if options.jit else 'without'} XLA, by "
            "`benchmarks/attention_memory.py`. Peak resident",
            "memory above what the process held after a pass over 64 "
            "positions; median time",
            f"of {options.repeats} passes after a first one.",
            "",
            f"Machine: {options.machine}.",
            "",
            "| layer | peak memory, MiB | time, s |",
            "|---|---|---|",
            "| `keras.layers.MultiHeadAttention` "
            f"| {keras['memory']:,.0f} | {keras['time']:.2f} |",
            "| `kbm.layers.SelfAttention` "
            f"| {ours['memory']:,.0f} | {ours['time']:.2f} |",
            "| ratio "
            f"| {ours['memory'] / keras['memory']:.3f} "
            f"| {ours['time'] / keras['time']:.2f} |",
            "",
        ]
    )
    print(text)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
