"""How fast byte-pair encoding is in the graph, beside the library's.

`python -m benchmarks.text` prints and writes benchmarks/results/text_speed.md.
Both are timed in turn, in one process, so that their ratio can be trusted on
a busy machine; the best of several runs counts.
"""

import argparse
import pathlib
import pydoc_data.topics
import random
import time
from collections.abc import Callable

import tensorflow as tf

from keras_bigmodel.text import BytePairTokenizer

BATCH = 32
PROMPT = 1_000
LETTERS = 10_000


def best_times(functions: list[Callable[[], object]], runs: int) -> list[float]:
    """Return the least milliseconds of each function, run in turn."""
    best = [float("inf")] * len(functions)
    for function in functions:
        function()
    for _ in range(runs):
        for i, function in enumerate(functions):
            started = time.perf_counter()
            function()
            best[i] = min(best[i], (time.perf_counter() - started) * 1e3)
    return best


def in_graph(tokenizer: BytePairTokenizer) -> tf.types.experimental.Callable:
    return tf.function(
        lambda texts: tokenizer(texts),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )


def measure(pattern: str, size: int, runs: int) -> list[str]:
    """Return the rows of one tokenizer's table."""
    topics = list(pydoc_data.topics.topics.values())
    text = "\n".join(topics)
    tokenizer = BytePairTokenizer.train(topics, size, pattern=pattern)
    encode = in_graph(tokenizer)
    prompts = [
        text[i * PROMPT : (i + 1) * PROMPT].ljust(PROMPT) for i in range(BATCH)
    ]
    tensor = tf.constant(prompts)
    graph, library = best_times(
        [lambda: encode(tensor), lambda: tokenizer.encode(prompts)], runs
    )
    rows = [
        f"{BATCH} prompts of {PROMPT:,} characters: {graph:.1f} ms in the "
        f"graph, {library:.1f} ms in the library, ratio {graph / library:.1f}"
    ]
    lengths = [10_000, 40_000, 160_000]
    longs = [tf.constant([text[:length]]) for length in lengths]
    times = best_times(
        [lambda long=long: encode(long) for long in longs], max(3, runs // 3)
    )
    steps = ", ".join(
        f"{length:,} characters {milliseconds:.1f} ms"
        for length, milliseconds in zip(lengths, times, strict=True)
    )
    rows.append(f"one text: {steps}")
    letters = random.Random(0).choices("etaoinshrdlucmfwypvbgkjqxz", k=LETTERS)
    for name, word in (
        ("random letters", "".join(letters)),
        ("one letter", "a" * LETTERS),
        ("words without blanks", text.replace(" ", "")[: 2 * LETTERS]),
    ):
        word = "".join(c for c in word if c.isalpha())[:LETTERS]
        tensor = tf.constant([word])
        if encode(tensor).to_list() != tokenizer.encode([word]):
            raise SystemExit(f"The ids of {name} differ.")
        (milliseconds,) = best_times([lambda t=tensor: encode(t)], runs)
        rows.append(
            f"one word of {len(word):,} letters ({name}): "
            f"{milliseconds:.1f} ms, ids equal"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=pathlib.Path(__file__).parent / "results" / "text_speed.md",
    )
    options = parser.parse_args()
    lines = ["# Byte-pair encoding in the graph", ""]
    for pattern in ("gpt2", "llama3", "qwen2", "sentencepiece"):
        for size in (2_000, 8_000):
            lines += [f"## {pattern}, up to {size:,} ids", ""]
            rows = measure(pattern, size, options.runs)
            lines += [f"- {row}" for row in rows] + [""]
            print("\n".join(lines[-len(rows) - 3 :]))
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
