"""Measures exports of GPT-2 small in TensorFlow's C++ loader; random weights.

    python -m benchmarks.serving [--keras-hub PYTHON] [--rounds ROUNDS]

Writes results/serving.md: size and load time of the folder, tokens a second
beside the model in memory, with float32 and 8-bit weights and batches of 1 and
8, how fast a request is refused and how fast a deadline ends one. All are
measured by turns, a few rounds long, and of a ratio the lowest and the highest
are told too. An option names a Python that has KerasHub, to be measured in the
same run.
"""

import argparse
import collections
import itertools
import os
import pathlib
import shutil
import statistics
import sysconfig
import tempfile
import time

import numpy as np

import keras_bigmodel as kbm
from benchmarks.generation import System
from keras_bigmodel.export.serving_config import LARGE_PAGES
from keras_bigmodel.export.signatures.options import greedy_options
from tests.serving import harness

RESULT = pathlib.Path(__file__).parent / "results" / "serving.md"
PROMPT, NEW = 32, 64
BATCHES = (1, 8)
KINDS = {
    "float32": {},
    "float32, cores told": {"cores": os.cpu_count()},
    "packed": {"pack_weights": True},
    "int8": {"weights": "int8"},
}
# Servers as the bundle starts them, and without its environment.
SERVERS = {"": LARGE_PAGES, ", small pages": {}}
REPEAT = 3


def gpt2():
    """Return GPT-2 small and a tokenizer of as many tokens."""
    source = pathlib.Path(sysconfig.get_path("stdlib"))
    texts = [p.read_bytes() for p in sorted(source.glob("**/*.py"))[:3000]]
    texts = [t.decode("utf-8", "ignore") for t in texts]
    tokenizer = kbm.text.BytePairTokenizer.train(
        [text for text in texts if text], 50257
    )
    model = kbm.models.decoder_lm(
        *(50257, 1024, 12, 12, 768),
        position_encoding="learned",
        activation="gelu_tanh",
    )
    return model, tokenizer


def prompts(batch):
    random = np.random.default_rng(batch)
    return random.integers(300, 50000, (batch, PROMPT), dtype="int32")


def request(batch, new=NEW):
    """Return a greedy request of `generate_ids`."""
    options = greedy_options(batch, new)
    options = {name: value.numpy() for name, value in options.items()}
    lengths = np.full([batch], PROMPT, "int32")
    inputs = {"token_ids": prompts(batch), "lengths": lengths, **options}
    return "generate_ids", inputs


def in_memory(model, batch, pack_weights):
    """Return the tokens a second of the model in memory."""
    ids = prompts(batch).tolist()
    options = {"max_new_tokens": NEW, "pack_weights": pack_weights}
    kbm.generate(model, ids, **options)
    times = []
    for _ in range(REPEAT):
        start = time.perf_counter()
        made = kbm.generate(model, ids, **options)
        times.append(time.perf_counter() - start)
    return sum(map(len, made)) / statistics.median(times)


def in_keras_hub(system, batch):
    """Return the tokens a second of KerasHub's GPT-2 small."""
    job = {"prompts": prompts(batch).tolist(), "num_tokens": NEW}
    system.do("generate", **job)
    times = [system.do("generate", **job)["seconds"] for _ in range(REPEAT)]
    return batch * NEW / statistics.median(times)


def in_loader(folder, batch, environment=None):
    """Return the tokens a second of the C++ loader, and its report."""
    report = harness.run(
        folder, [request(batch)], repeat=REPEAT, environment=environment
    )
    (answer,) = report.answers
    if answer.error:
        raise RuntimeError(answer.error)
    tokens = answer.outputs["num_tokens"].sum()
    return 1000 * tokens / report.request_ms[0], report


def refusal_ms(folder):
    """Return how long a text that is too long takes, once warm."""
    long = ("serving_default", {"prompts": [b"a " * 40_000]})
    report = harness.run(folder, [long], repeat=5)
    if not report.answers[0].error.startswith("INVALID_ARGUMENT"):
        raise RuntimeError(f"not refused: {report.answers[0].error!r}")
    return report.request_ms[0]


def deadline_ms(folder):
    """Return after how long a deadline of 500 ms ends 900 tokens."""
    warm, long = request(1, 1), request(1, 900)
    report = harness.run(folder, [warm, long], timeout_ms=500, repeat=3)
    if "DEADLINE_EXCEEDED" not in report.answers[1].error:
        raise RuntimeError(f"not ended: {report.answers[1].error!r}")
    return report.request_ms[1]


def size(folder):
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def spread(numerators, denominators):
    """Return the median of the rounds' ratios, the lowest and the highest."""
    ratios = [n / d for n, d in zip(numerators, denominators, strict=True)]
    middle = statistics.median(ratios)
    return f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def compare(scratch, keras_hub, rounds):
    """Return the lines on GPT-2 small."""
    model, tokenizer = gpt2()
    folders = {
        kind: kbm.export_saved_model(
            model,
            scratch / kind,
            tokenizer,
            **options,
            max_new_tokens=NEW,
            prove=False,
        )
        for kind, options in KINDS.items()
    }
    found, lines = collections.defaultdict(list), []
    places = ["memory", "memory, packed"]
    places += [kind + server for kind in folders for server in SERVERS]
    system = keras_hub and System("KerasHub", keras_hub)
    places += ["KerasHub"] if system else []
    for turn, batch in itertools.product(range(rounds), BATCHES):
        print(f"round {turn + 1} of {rounds}, batch {batch}", flush=True)
        found["memory", batch].append(in_memory(model, batch, False))
        found["memory, packed", batch].append(in_memory(model, batch, True))
        if system:
            found["KerasHub", batch].append(in_keras_hub(system, batch))
        for kind, folder in folders.items():
            for server, environment in SERVERS.items():
                speed, report = in_loader(folder, batch, environment)
                found[kind + server, batch].append(speed)
                found[kind + server, "load"].append(report.load_ms)
                found[kind + server, "peak"].append(report.peak_kib / 1024)
    middle = {key: statistics.median(values) for key, values in found.items()}
    if system:
        system.close()
    weights = 4 * model.count_params()
    for kind, folder in folders.items():
        lines.append(
            f"| {kind} | {size(folder) / 1e6:.1f} MB | "
            f"{size(folder) / weights:.3f} | {middle[kind, 'load']:.0f} ms | "
            f"{middle[kind, 'peak']:.0f} MiB |"
        )
    lines += ["", "| tokens a second | batch 1 | batch 8 | ratio |"]
    lines.append("|---|---|---|---|")
    for place in places:
        one, eight = (middle[place, batch] for batch in BATCHES)
        lines.append(
            f"| {place} | {one:.1f} | {eight:.1f} | {eight / one:.2f} |"
        )
    pairs = [("float32", "memory"), ("float32, cores told", "memory")]
    pairs += [("float32, small pages", "memory")]
    pairs += [("packed", "memory, packed")]
    pairs += [("float32", "memory, packed")]
    pairs += [("packed", "float32"), ("int8", "float32")]
    pairs += [("int8", "KerasHub")] if system else []
    for numerator, denominator in pairs:
        one, eight = (
            spread(found[numerator, batch], found[denominator, batch])
            for batch in BATCHES
        )
        lines.append(f"| {numerator} over {denominator} | {one} | {eight} | |")
    lines += [
        "",
        f"The weights have {weights / 1e6:.1f} MB; the float32 folder has "
        f"{(size(folders['float32']) - weights) / 1e6:.1f} MB more.",
        f"A text that is too long was refused in "
        f"{refusal_ms(folders['float32']):.1f} ms.",
        f"A deadline of 500 ms ended 900 tokens after "
        f"{deadline_ms(folders['float32']):.0f} ms.",
    ]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keras-hub", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    scratch = pathlib.Path(tempfile.mkdtemp())
    try:
        lines = compare(scratch, options.keras_hub, options.rounds)
    finally:
        shutil.rmtree(scratch)
    page = [
        "# Serving GPT-2 small",
        "",
        "124,439,808 random weights, a byte-pair tokenizer of 50,257 tokens, "
        "all",
        f"signatures; greedy, {PROMPT} tokens of prompt and {NEW} new ones, "
        f"median of {REPEAT} runs in",
        "TensorFlow's C++ loader, which leaves the first out, for it pays for "
        "the graph;",
        f"medians of {options.rounds} rounds by turns, of ratios the lowest "
        "and highest too.",
        "By `benchmarks/serving.py`.",
        "",
        "| weights | folder | over float32 weights | loads | peak memory |",
        "|---|---|---|---|---|",
        *lines,
    ]
    RESULT.write_text("\n".join(page) + "\n", encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
