"""How fast the data pipelines feed a model, and with how much memory.

`python -m benchmarks.data` writes a text file of a gigabyte into a temporary
folder, reads it through `language_model_dataset` and writes what it measured
to benchmarks/results/data.md. Beside each figure stands its ratio to the
240 tokens a second at which KerasHub trains GPT-2 small on two cores (batch
4 x 256), and to what a training step here takes with `--train`.
"""

import argparse
import gzip
import json
import os
import pathlib
import pydoc_data.topics
import random
import tempfile
import time
from collections.abc import Iterator

import psutil

import keras_bigmodel as kbm

KERAS_HUB_TOKENS_PER_SECOND = 240
LENGTH, BATCH = 256, 4
MEGABYTE = 10**6


def lines(size: int) -> Iterator[str]:
    """Yield lines of real text in random order, `size` bytes together."""
    rng = random.Random(0)
    text = "\n".join(pydoc_data.topics.topics.values())
    known = [line + "\n" for line in text.splitlines() if line.strip()]
    while size > 0:
        line = rng.choice(known)
        size -= len(line.encode())
        yield line


def write_files(folder: pathlib.Path, size: int, small: int) -> None:
    """Write the large text file and smaller ones of other kinds."""
    with open(folder / "large.txt", "w") as file:
        file.writelines(lines(size))
    with gzip.open(folder / "small.jsonl.gz", "wt", compresslevel=1) as file:
        paragraph: list[str] = []
        for line in lines(small):
            paragraph.append(line)
            if len(paragraph) == 20:
                file.write(json.dumps({"text": "".join(paragraph)}) + "\n")
                paragraph = []
    with open(folder / "pairs.jsonl", "w") as file:
        for line in lines(small // 2):
            pair = {"source": line.lower(), "target": line}
            file.write(json.dumps(pair) + "\n")


def measure(dataset, tokens_of) -> dict[str, float]:
    """Read a dataset once; return tokens a second and memory in MB."""
    process = psutil.Process(os.getpid())
    started = time.perf_counter()
    cpu = process.cpu_times()
    tokens, memory, first = 0, [], 0.0
    for number, batch in enumerate(dataset):
        if number == 0:
            first = time.perf_counter() - started
        tokens += tokens_of(batch)
        if number % 500 == 0:
            memory.append(process.memory_info().rss / MEGABYTE)
    seconds = time.perf_counter() - started
    used = process.cpu_times()
    # The first tenth fills buffers and warms up; after it memory is flat.
    settled = memory[len(memory) // 10 :]
    return {
        "tokens": tokens,
        "seconds": seconds,
        "cpu_seconds": used.user + used.system - cpu.user - cpu.system,
        "first": first,
        "tokens_per_second": tokens / seconds,
        "settled": settled[0],
        "peak": max(memory),
        "growth": max(settled) - settled[0],
    }


def pipelines(folder: pathlib.Path) -> Iterator[tuple[str, object, object]]:
    """Yield each pipeline's name, dataset and how its tokens are counted."""
    texts = list(pydoc_data.topics.topics.values())
    byte_pair = kbm.text.BytePairTokenizer.train(texts, 8000)
    pieces = kbm.text.WordPieceTokenizer.train(texts, 8000)
    large, small = folder / "large.txt", folder / "small.jsonl.gz"

    def rows(batch):
        return batch[1].shape[0] * batch[1].shape[1]

    yield (
        "language model, windows, shuffled, large .txt",
        kbm.text.language_model_dataset(
            large, byte_pair, LENGTH, BATCH, shuffle=True
        ),
        rows,
    )
    yield (
        "language model, packed documents, .jsonl.gz",
        kbm.text.language_model_dataset(
            small, byte_pair, LENGTH, BATCH, packed=True, shuffle=True
        ),
        lambda batch: float(batch[2].numpy().sum()),
    )
    yield (
        "masked language model, .jsonl.gz",
        kbm.text.masked_lm_dataset(small, pieces, LENGTH, BATCH, shuffle=True),
        lambda batch: int((batch[0].numpy() != pieces.pad_id).sum()),
    )
    yield (
        "sequence to sequence, .jsonl",
        kbm.text.seq2seq_dataset(
            folder / "pairs.jsonl",
            byte_pair,
            LENGTH,
            BATCH,
            too_long="cut",
            shuffle=True,
        ),
        lambda batch: int(
            batch[2].numpy().sum()
            + (batch[0]["source_ids"].numpy() != byte_pair.pad_id).sum()
        ),
    )


def training_speed(steps: int = 4) -> float:
    """Return the tokens a second at which GPT-2 small trains here."""
    import keras
    import numpy as np

    model = kbm.models.decoder_lm(
        50257,
        1024,
        12,
        12,
        768,
        position_encoding="learned",
        activation="gelu_tanh",
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    tokens = np.random.default_rng(0).integers(50257, size=(BATCH, LENGTH))
    model.train_on_batch(tokens, tokens)
    started = time.perf_counter()
    for _ in range(steps):
        model.train_on_batch(tokens, tokens)
    return steps * tokens.size / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--small-megabytes", type=int, default=32)
    parser.add_argument("--train", action="store_true")
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=pathlib.Path(__file__).parent / "results" / "data.md",
    )
    options = parser.parse_args()
    trained = training_speed() if options.train else None
    report = [
        f"Batches of {BATCH} x {LENGTH}, {os.cpu_count()} CPU cores, load "
        f"{os.getloadavg()[0]:.1f} at the start.",
        "",
        "| pipeline | tokens | tokens/s | x 240 | CPU s | first batch s "
        "| memory MB | growth MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        size = options.megabytes * MEGABYTE
        write_files(folder, size, options.small_megabytes * MEGABYTE)
        for label, dataset, tokens_of in pipelines(folder):
            found = measure(dataset, tokens_of)
            speed = found["tokens_per_second"]
            report.append(
                f"| {label} | {found['tokens']:,.0f} | {speed:,.0f} "
                f"| {speed / KERAS_HUB_TOKENS_PER_SECOND:,.0f} "
                f"| {found['cpu_seconds']:,.0f} | {found['first']:.1f} "
                f"| {found['peak']:,.0f} | {found['growth']:,.0f} |"
            )
            print(report[-1], flush=True)
    report += ["", f"The large file has {options.megabytes} MB."]
    if trained is not None:
        report.append(
            f"A training step of GPT-2 small here: {trained:,.0f} tokens/s."
        )
    report.append(
        "Growth is that of the process after the first tenth of the batches."
    )
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text("\n".join(report) + "\n")


if __name__ == "__main__":
    main()
