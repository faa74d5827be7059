"""Measures attention, training and generation on a GPU, with Keras on JAX.

    KERAS_BACKEND=jax python -m benchmarks.accelerator [--keras-hub PYTHON]
        [--transformers PYTHON]

Attention is compared with `keras.layers.MultiHeadAttention`; training and
generation of GPT-2 small with KerasHub on JAX and, where it generates, with
transformers on PyTorch. Each system of the latter runs in a process of its
own. Writes `results/accelerator.md` if told to with --write.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.generation import (
    System,
    add_arguments,
    alternate,
    named_pythons,
)

RESULTS = pathlib.Path(__file__).parent / "results" / "accelerator.md"
BATCH, HEADS, HEAD_DIM = 1, 16, 64
# Of the matrices whose product says what the device can do.
SIZE = 8192
# Length, dtype, whether some of the keys are padding.
ATTENTION = (
    (8192, "bfloat16", False),
    (8192, "bfloat16", True),
    (8192, "float32", False),
    (8192, "float32", True),
    (32768, "bfloat16", False),
    (32768, "bfloat16", True),
)
# Batch, tokens of prompt, new tokens.
GENERATION = ((1, 32, 96), (8, 32, 96), (64, 32, 96), (1, 32, 992))
TRAINING = {"batch": 16, "length": 1024, "steps": 20, "epochs": 3}
LAYERS, WIDTH = 12, 768
PARTS = ("attention", "training", "generation")


def main() -> None:
    """Measures the parts asked for, prints them and may write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, PARTS)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--attention", action="store_true", help="for itself")
    options = parser.parse_args()
    if options.attention:
        print(json.dumps(attention(options.repeats)))
        return
    os.environ.setdefault("KERAS_BACKEND", "jax")
    # Several processes share the GPU.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if not has_accelerator():
        print("There is no GPU for JAX here: nothing was measured.")
        return
    pythons = named_pythons(options)
    lines = []
    for part in options.parts:
        if part == "attention":
            lines += report_attention(options.repeats)
        elif part == "training":
            lines += report_training(pythons)
        else:
            lines += report_generation(pythons, options.repeats)
        print("\n".join(lines), flush=True)
    if options.write:
        head = ["# On a GPU", "", f"{time.strftime('%Y-%m-%d')}."]
        RESULTS.write_text("\n".join([*head, *lines]) + "\n")


def has_accelerator() -> bool:
    """Tells whether JAX is there and finds more than a CPU."""
    try:
        import jax
    except ImportError:
        return False
    return jax.default_backend() != "cpu"


def report_attention(repeats: int) -> list[str]:
    """Measures in a process that gives the GPU's memory back."""
    command = [sys.executable, "-m", "benchmarks.accelerator", "--attention"]
    command += ["--repeats", str(repeats)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = json.loads(result.stdout.splitlines()[-1])
    lines = [
        "",
        f"Device: {found['device']}. A copy moved "
        f"{found['bytes_per_second'] / 1e12:.2f} TB/s; a bfloat16 product of "
        f"8,192 x 8,192 matrices ran at {found['flops'] / 1e12:.0f} TFLOP/s.",
        "",
        "| attention, forward and backward | Keras, MiB | ours, MiB | "
        "Keras, ms | ours, ms |",
        "|---|---|---|---|---|",
    ]
    for name, (keras, ours) in found["attention"].items():
        memory = [_number(x and x["memory"], 2**20) for x in (keras, ours)]
        taken = [_number(x and x["seconds"], 1e-3) for x in (keras, ours)]
        lines.append(f"| {name} | {' | '.join([*memory, *taken])} |")
    return lines


def _number(x: float | None, unit: float) -> str:
    return "does not fit" if x is None else f"{x / unit:,.1f}"


def attention(repeats: int) -> dict[str, Any]:
    """Returns what the device can do, and what each layer needs."""
    import jax
    import jax.numpy as jnp

    device = jax.devices()[0]
    numbers = jnp.zeros(2**28, "float32")
    square = jax.random.normal(jax.random.key(0), (SIZE, SIZE), "bfloat16")
    copying = _time(jax.jit(lambda x: x + 1), (numbers,), repeats)
    product = _time(jax.jit(lambda x: x @ x), (square,), repeats)
    del numbers, square
    found = {}
    for length, dtype, padded in ATTENTION:
        name = f"{length:,} positions, {dtype}{', padding' * padded}"
        found[name] = [
            _attention(layer, length, dtype, padded, repeats)
            for layer in ("keras", "ours")
        ]
        print(name, found[name], file=sys.stderr, flush=True)
    return {
        "device": device.device_kind,
        "bytes_per_second": 2 * 2**30 / copying,
        "flops": 2 * SIZE**3 / product,
        "attention": found,
    }


def _attention(
    kind: str, length: int, dtype: str, padded: bool, repeats: int
) -> dict[str, float] | None:
    """Returns the scratch memory and the time of a pass; None: too large."""
    import jax
    import keras
    from keras import ops

    from keras_bigmodel.layers import SelfAttention

    if kind == "ours":
        layer = SelfAttention(HEADS, HEAD_DIM, causal=True, dtype=dtype)

        def call(x: Any, mask: Any) -> Any:
            return layer(x, padding_mask=mask)
    else:
        layer = keras.layers.MultiHeadAttention(HEADS, HEAD_DIM, dtype=dtype)

        def call(x: Any, mask: Any) -> Any:
            mask = None if mask is None else mask[:, None, :]
            return layer(x, x, attention_mask=mask, use_causal_mask=True)

    def loss(values: list, x: Any, mask: Any) -> Any:
        pairs = zip(layer.trainable_variables, values, strict=True)
        with keras.StatelessScope(state_mapping=list(pairs)):
            return ops.sum(ops.square(ops.cast(call(x, mask), "float32")))

    shape = (BATCH, length, HEADS * HEAD_DIM)
    x = jax.random.normal(jax.random.key(0), shape, dtype)
    mask = None
    if padded:
        mask = ops.broadcast_to(ops.arange(length) < length - 100, shape[:2])
    call(x[:, :8], None)
    values = [variable.value for variable in layer.trainable_variables]
    arguments = values, x, mask
    try:
        step = jax.jit(jax.grad(loss, (0, 1))).lower(*arguments).compile()
        return {
            "memory": step.memory_analysis().temp_size_in_bytes,
            "seconds": _time(step, arguments, repeats),
        }
    except jax.errors.JaxRuntimeError as error:
        print(kind, length, dtype, str(error)[:500], file=sys.stderr)
        return None


def _time(function: Any, arguments: tuple, repeats: int) -> float:
    """Returns the median time of a call, in seconds."""
    import jax

    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def report_training(pythons: dict[str, str]) -> list[str]:
    """Trains GPT-2 small by `fit`, one system after the other."""
    tokens = TRAINING["batch"] * TRAINING["length"]
    lines = [
        "",
        f"GPT-2 small, `fit`, AdamW, mixed bfloat16, {TRAINING['batch']} x "
        f"{TRAINING['length']:,} tokens a step; operations as of Chowdhery et "
        'al. 2022, "PaLM", appendix B:',
        "",
        "| system | ms a step | tokens a second | TFLOP/s |",
        "|---|---|---|---|",
    ]
    for name, python in pythons.items():
        if name == "transformers":
            continue
        system = System(name, python, "xla", "mixed_bfloat16")
        found = system.do("fit", **TRAINING)
        system.close()
        seconds = found["seconds_a_step"]
        each = 6 * found["weights"] + 12 * LAYERS * WIDTH * TRAINING["length"]
        lines.append(
            f"| {name} | {seconds * 1e3:.1f} | {tokens / seconds:,.0f} "
            f"| {each * tokens / seconds / 1e12:.0f} |"
        )
    return lines


def report_generation(pythons: dict[str, str], repeats: int) -> list[str]:
    """Generates greedily, the systems taking turns."""
    import numpy as np

    systems = [
        System(name, python, "xla", "bfloat16")
        for name, python in pythons.items()
    ]
    lines = [
        "",
        "| greedy, bfloat16 | system | seconds | tokens/s | ours is |",
        "|---|---|---|---|---|",
    ]
    for batch, prompt, new in GENERATION:
        prompts = np.random.default_rng(0).integers(0, 50257, (batch, prompt))
        job = {"prompts": prompts.tolist(), "num_tokens": new}
        times = alternate(systems, repeats, "generate", **job)
        mine = next(iter(times.values()))
        for name, seconds in times.items():
            lines.append(
                f"| batch {batch}, {prompt} + {new} "
                f"| {name.removesuffix(' XLA BFLOAT16')} | {seconds:.3f} "
                f"| {batch * new / seconds:,.0f} | {seconds / mine:.2f} x |"
            )
    for system in systems:
        system.close()
    return lines


if __name__ == "__main__":
    main()
