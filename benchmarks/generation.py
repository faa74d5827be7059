"""Measures greedy generation beside KerasHub and transformers.

GPT-2 small, 124 million random float32 weights, the same prompts. Each system
runs in a process of its own, and the systems take turns:

    python benchmarks/generation.py [--keras-hub PYTHON] [--transformers PYTHON]

The options name the Pythons in which `keras-hub` and `transformers` with
PyTorch are installed; a system without one is left out. Writes
`results/generation.md` if told to with --write.
"""

import argparse
import json
import keyword
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import sysconfig
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
WORKER = HERE / "_generation_systems.py"
CASES = {
    "batch 1, 32 + 96": (1, 32, 96),
    "batch 8, 32 + 96": (8, 32, 96),
    "batch 1, 32 + 992": (1, 32, 992),
}
LONG = "batch 1, 32 + 992"
FIRST_TOKEN = "first token, room for 1,024"
LOOK_UP, PLAIN = "look-up", "plain"
# Source files that are continued: a repetitive one, and the median of those in
# the standard library by how many guesses come true.
TEXTS = {"repetitive source": "operator.py", "median source": "argparse.py"}
# What is asked for: case -> system -> least ratio of speeds.
AIMS = {
    "batch 1, 32 + 96": {"KerasHub": 1.5, "transformers": 1.0, "limit": 0.8},
    "batch 8, 32 + 96": {"KerasHub": 2.5, "transformers": 1.3},
    LONG: {"KerasHub": 2.5},
    FIRST_TOKEN: {"KerasHub": 10.0},
}


class System:
    """A process that answers jobs, see `_generation_systems.py`."""

    def __init__(self, name: str, python: str, *flags: str) -> None:
        self.name = " ".join((name, *(flag.upper() for flag in flags)))
        self.process = subprocess.Popen(
            [python, str(WORKER), name, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=HERE.parent,
        )
        self._answer()

    def do(self, what: str, **arguments: object) -> dict:
        """Has one job done, and returns its answer with its `seconds`."""
        job = json.dumps({"do": what, **arguments})
        self.process.stdin.write(job + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended without an answer.")
        return json.loads(line)


PARTS = (
    "first call",
    "short",
    "long",
    "first token",
    "xla",
    "look-up",
    "memory",
)


def main() -> None:
    """Measures the parts asked for, prints them and may write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, PARTS)
    parser.add_argument("--machine", default=platform.processor())
    parser.add_argument("--keep", metavar="JSON", type=pathlib.Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    pythons = named_pythons(options)
    for name in ("KerasHub", "transformers"):
        if name not in pythons:
            print(f"{name}: no Python was named, left out.")
    found = {}
    if options.keep and options.keep.exists():
        found = json.loads(options.keep.read_text())
    for part in options.parts:
        found.update(measure(part, pythons, options.repeats))
        if options.keep:
            options.keep.write_text(json.dumps(found, indent=1))
    lines = report(found)
    print("\n".join(lines))
    if options.write:
        write(lines, options)


def add_arguments(
    parser: argparse.ArgumentParser, parts: tuple[str, ...]
) -> None:
    """Lets a caller name what is measured, beside what, and how often."""
    parser.add_argument("--keras-hub", metavar="PYTHON")
    parser.add_argument("--transformers", metavar="PYTHON")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="*", default=parts, choices=parts)


def named_pythons(options: argparse.Namespace) -> dict[str, str]:
    """Returns the Pythons of the systems that were named, ours first."""
    pythons = {
        "ours": sys.executable,
        "KerasHub": options.keras_hub,
        "transformers": options.transformers,
    }
    return {name: python for name, python in pythons.items() if python}


def measure(part: str, pythons: dict[str, str], repeats: int) -> dict:
    """Returns medians in seconds by case and system, and what else is said."""
    if part == "first call":
        return {part: first_calls(pythons, repeats)}
    if part == "memory":
        python = pythons["ours"]
        return {part: memory(python), "endless": endless(python)}
    if part == "look-up":
        pythons = {"ours": pythons["ours"]}
    flags = ["xla"] if part == "xla" else []
    systems = [
        System(name, python, *flags)
        for name, python in pythons.items()
        if not flags or name != "transformers"
    ]
    found: dict = {}
    if part == "look-up":
        found[part] = {
            text: look_up(systems[0], repeats, file)
            for text, file in TEXTS.items()
        }
    elif part == "first token":
        prompts = np.random.default_rng(0).integers(0, 50257, (1, 32))
        job = {"prompts": prompts.tolist(), "room": 1024}
        found[FIRST_TOKEN] = alternate(systems, repeats, "first_token", **job)
    else:
        for case, (batch, prompt, new) in CASES.items():
            if (case == LONG) != (part == "long"):
                continue
            prompts = np.random.default_rng(0).integers(
                0, 50257, (batch, prompt)
            )
            job = {"prompts": prompts.tolist(), "num_tokens": new}
            name = f"{case} XLA" if flags else case
            found[name] = alternate(systems, repeats, "generate", **job)
    if part == "short":
        found["limit"] = limit(systems[0], repeats)
    for system in systems:
        system.close()
    return found


def limit(ours: System, repeats: int) -> dict[str, float]:
    """Returns how fast weights are read, and the tokens/s this allows."""
    reads = [ours.do("bandwidth") for _ in range(repeats)]
    speed = statistics.median(read["bytes_per_second"] for read in reads)
    return {
        "bytes per second": speed,
        "tokens per second": speed / reads[0]["weight_bytes"],
    }


def alternate(
    systems: list[System], repeats: int, what: str, **job: object
) -> dict[str, float]:
    """Lets the systems take turns, and returns each one's median time."""
    times: dict[str, list[float]] = {system.name: [] for system in systems}
    for system in systems:
        system.do(what, **job)
    for _ in range(repeats):
        for system in systems:
            times[system.name].append(system.do(what, **job)["seconds"])
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    print(what, job.get("num_tokens"), times, flush=True)
    return medians


def first_calls(pythons: dict[str, str], repeats: int) -> dict[str, float]:
    """Returns how long the first generation takes in a new process."""
    times: dict[str, list[float]] = {name: [] for name in pythons}
    for _ in range(repeats):
        for name, python in pythons.items():
            system = System(name, python)
            job = {"prompts": [list(range(32))], "num_tokens": 96}
            times[name].append(system.do("generate", **job)["seconds"])
            system.close()
    print("first call", times, flush=True)
    return {name: statistics.median(taken) for name, taken in times.items()}


def look_up(ours: System, repeats: int, file: str) -> dict[str, float]:
    """Continues a source file known by heart, with look-up and without."""
    job = {"text": source_words(file, 768), "prompt": 512}
    times: dict[str, list[float]] = {LOOK_UP: [], PLAIN: []}
    for repeat in range(repeats + 1):
        for name, taken in times.items():
            answer = ours.do("recite", look_up=name == LOOK_UP, **job)
            if not answer["right"]:
                raise RuntimeError("The text came out otherwise.")
            if repeat:
                taken.append(answer["seconds"])
    print("look-up", times, flush=True)
    return {name: statistics.median(taken) for name, taken in times.items()}


def source_words(file: str, number: int) -> list[int]:
    """Returns words, marks and blanks of a source file as numbers."""
    text = (pathlib.Path(sysconfig.get_path("stdlib")) / file).read_text()
    words = re.findall(r"\n *|\w+| ?[^\w\s]| +", text)[:number]
    known = {word: index for index, word in enumerate(keyword.kwlist)}
    return [known.setdefault(word, len(known)) for word in words]


def memory(python: str) -> dict[str, float]:
    """Returns peak memory over what a cache needs, in a call and streamed."""
    found = {}
    for name, stream in (("one call", False), ("stream", True)):
        system = System("memory", python)
        answer = system.do("cache", stream=stream)
        system.close()
        found[name] = answer["grown"] / answer["needed"]
    return found


def endless(python: str) -> dict[str, float]:
    """Returns bytes a token by which memory grows over 10,000 tokens."""
    system, found = System("memory", python), {}
    for positions in ("rotary", "alibi"):
        answer = system.do("endless", positions=positions, num_tokens=10_000)
        found[positions] = answer["grown"] / answer["tokens"]
    system.close()
    return found


def report(found: dict) -> list[str]:
    """Returns the page's tables of what was measured so far."""
    lines = ["| work | system | seconds | tokens/s | ours is | aim |"]
    lines += ["|---|---|---|---|---|---|"]
    for case in (*CASES, FIRST_TOKEN):
        lines += _rows(case, found)
    for name, seconds in found.get("first call", {}).items():
        ratio = seconds / found["first call"]["ours"]
        aim = ">= 1.0" if name == "KerasHub" else ""
        lines.append(
            f"| first call, batch 1, 32 + 96 | {name} | {seconds:.3f} | "
            f"| {ratio:.2f} x | {aim} |"
        )
    for text, times in found.get("look-up", {}).items():
        aim = ">= 1.8" if text == next(iter(TEXTS)) else ""
        lines.append(
            f"| {text}, 512 + 256, look-up | ours, no look-up | "
            f"{times[PLAIN]:.3f} | {256 / times[PLAIN]:.1f} | "
            f"{times[PLAIN] / times[LOOK_UP]:.2f} x | {aim} |"
        )
    if "memory" in found:
        lines += ["", "| cache | peak memory over its bytes | aim |"]
        lines += ["|---|---|---|"]
        for name, ratio in found["memory"].items():
            lines.append(f"| {name} | {ratio:.2f} x | <= 1.2 |")
        lines += ["", "| window, 10,000 tokens | growth a token |", "|---|---|"]
        for name, grown in found["endless"].items():
            lines.append(f"| {name} | {grown:.0f} bytes |")
    if "limit" in found:
        speed = found["limit"]["bytes per second"] / 1e9
        lines += ["", f"A matrix-vector product read {speed:.1f} GB/s."]
    return lines


def _rows(case: str, found: dict) -> list[str]:
    """Returns a case's lines, those with XLA and the limit among them."""
    batch, _, new = CASES.get(case, (1, 32, 1))
    times = dict(found.get(case, {}))
    if not times:
        return []
    mine = times["ours"]
    times |= found.get(f"{case} XLA", {})
    aims, lines = AIMS[case], []
    if "limit" in aims and "limit" in found:
        times["limit"] = new / found["limit"]["tokens per second"]
    for name, seconds in times.items():
        aim = aims.get(name.removesuffix(" XLA"))
        lines.append(
            f"| {case} | {name} | {seconds:.3f} | "
            f"{batch * new / seconds:.1f} | {seconds / mine:.2f} x | "
            f"{f'>= {aim}' if aim else ''} |"
        )
    return lines


def write(lines: list[str], options: argparse.Namespace) -> None:
    """Writes the tables behind a head that says where they come from."""
    head = [
        "# Generation",
        "",
        "Made by `python benchmarks/generation.py` on "
        f"{options.machine}, {time.strftime('%Y-%m-%d')}; medians of "
        f"{options.repeats} runs.",
        "",
    ]
    path = HERE / "results" / "generation.md"
    path.write_text("\n".join([*head, *lines]) + "\n")


if __name__ == "__main__":
    main()
