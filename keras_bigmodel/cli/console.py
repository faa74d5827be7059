"""Printing for people: headings, tables, streams of words."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence

_BAR = 24


def heading(text: str) -> None:
    """Print a title over what follows."""
    print(f"\n{text}\n{'─' * len(text)}", flush=True)


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns: the first to the left, numbers to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [first.ljust(widths[0])]
        cells += [
            cell.rjust(width)
            for cell, width in zip(rest, widths[1:], strict=True)
        ]
        print("  " + "  ".join(cells).rstrip())
    sys.stdout.flush()


def stream(pieces: Iterable[str]) -> str:
    """Print pieces of text as they come, without their empty lines."""
    whole = ""
    for piece in pieces:
        for line in piece.splitlines(keepends=True):
            if line.strip() or not whole.endswith("\n"):
                print(line, end="", flush=True)
            whole += line
    print(flush=True)
    return whole


def megabytes(count: float) -> str:
    """A number of bytes, readable."""
    return f"{count / 1e6:,.1f} MB"


def progress(title: str) -> Callable[[int, int | None], None] | None:
    """A bar that moves, None where nobody looks: it goes to a terminal alone.

    Args:
        title: what is done.

    Returns:
        To be called with how much is done, and of how much if that is known.
    """
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int | None = None) -> None:
        filled = _BAR if total is None else _BAR * done // total
        bar = "█" * filled + "·" * (_BAR - filled)
        of = "" if total is None else f" of {total:,}"
        end = "\n" if done == total else ""
        line = f"\r{title} {bar} {done:,}{of}"
        print(line, end=end, file=sys.stderr, flush=True)

    return show


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--model`, which `load_model` reads."""
    parser.add_argument(
        "--model",
        required=True,
        help="what `train` made, or a Hugging Face folder or repository",
    )


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--json`."""
    parser.add_argument(
        "--json", action="store_true", help="print JSON, and nothing else"
    )


def fit_verbosity() -> int:
    """A moving bar on a terminal, a line for each round elsewhere."""
    return 1 if sys.stdout.isatty() else 2
