"""A report on texts and the tokenizer that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_bigmodel.text.datasets.pipeline import check_at_least, encode_records
from keras_bigmodel.text.sources import Source

UNKNOWN_TOKENS = ("[UNK]", "<unk>")


def report_text(
    texts: Any,
    tokenizer: Any,
    sequence_length: int | None = None,
    *,
    picture: str | Path | None = None,
    most_texts: int = 10_000,
    field: str = "text",
) -> dict[str, Any]:
    """Measures texts and how well a tokenizer fits them.

    Args:
        texts: A `pathlib.Path` of a file or folder, a text, or a list of paths
            or texts, as for `language_model_dataset`.
        tokenizer: What encodes the texts.
        sequence_length: The length of a model's rows, to count the texts that
            are longer.
        picture: Where to draw the report, as a `.png` or another format that
            matplotlib knows (`pip install 'keras-bigmodel[plot]'`).
        most_texts: How many texts are read at most, from the first on.
        field: The field that holds the text in `.jsonl` and `.parquet`.

    Returns:
        A dict of numbers: `texts`, `bytes`, `characters`, `tokens`;
        `bytes_per_token` and `tokens_per_byte`; `unknown_rate`, the share of
        tokens that are the unknown token (0 where there is none);
        `vocabulary_used`, the share of ids that occur; `too_long`, the share
        of texts with more than `sequence_length` tokens (None without it);
        and `length_percentiles`, tokens a text by percentile: 5, 25, 50, 75,
        95 and 100.

    Raises:
        ValueError: where the texts cannot be read or hold no token.

    Example:
    ```python
    import keras_bigmodel as kbm

    texts = ["a short text", "and one that is longer"]
    report = kbm.text.report_text(texts, kbm.text.ByteTokenizer(), 16)
    report["tokens_per_byte"], report["too_long"]  # (1.0, 0.5)
    ```
    """
    check_at_least(1, most_texts=most_texts)
    if sequence_length is not None:
        check_at_least(1, sequence_length=sequence_length)
    counts = _Counts(tokenizer)
    source = Source(texts, {field: str})
    records = source.read()
    for (ids, record), end in encode_records(records, counts.encode):
        counts.add(ids, record, end)
        if len(counts.lengths) == most_texts:
            break
    if not counts.tokens:
        raise ValueError(
            "The texts hold not one token. A str is a text; wrap the name of a "
            f"file in pathlib.Path. Received: texts={texts!r:.200}"
        )
    report = counts.report(sequence_length)
    if picture is not None:
        _draw(report, counts, sequence_length, Path(picture))
    return report


class _Counts:
    """What is counted while texts pass by."""

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer
        self.uses = np.zeros(tokenizer.vocabulary_size, np.int64)
        self.lengths: list[int] = []
        self.length = self.tokens = self.characters = self.bytes = 0
        known = tokenizer.special_tokens
        self.unknown_ids = [known[t] for t in UNKNOWN_TOKENS if t in known]

    def encode(self, records: list[tuple]) -> list[tuple[list[int], str]]:
        """Returns each text's ids with the text."""
        texts = [text for (text,) in records]
        ids = self.tokenizer.encode(texts, add_special_tokens=False)
        return list(zip(ids, texts, strict=True))

    def add(self, ids: list[int], text: str, end: bool) -> None:
        """Counts a text, or a piece of one."""
        self.uses += np.bincount(ids, minlength=len(self.uses))
        self.length += len(ids)
        self.tokens += len(ids)
        self.characters += len(text)
        self.bytes += len(text.encode())
        if end:
            self.lengths.append(self.length)
            self.length = 0

    def report(self, sequence_length: int | None) -> dict[str, Any]:
        """Returns the numbers of the report."""
        lengths = np.array(self.lengths)
        too_long = None
        if sequence_length is not None:
            too_long = float(np.mean(lengths > sequence_length))
        points = (5, 25, 50, 75, 95, 100)
        return {
            "texts": len(lengths),
            "bytes": self.bytes,
            "characters": self.characters,
            "tokens": self.tokens,
            "bytes_per_token": self.bytes / self.tokens,
            "tokens_per_byte": self.tokens / self.bytes,
            "unknown_rate": float(
                self.uses[self.unknown_ids].sum() / self.tokens
            ),
            "vocabulary_used": float(np.mean(self.uses > 0)),
            "too_long": too_long,
            "length_percentiles": {
                point: float(np.percentile(lengths, point)) for point in points
            },
        }


def _draw(
    report: dict[str, Any],
    counts: _Counts,
    sequence_length: int | None,
    path: Path,
) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "A picture needs matplotlib: pip install 'keras-bigmodel[plot]'."
        ) from error
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_lengths(left, counts.lengths, sequence_length)
    _draw_uses(right, counts.uses)
    kind = type(counts.tokenizer).__name__
    figure.suptitle(
        f"{kind}, {len(counts.uses):,} ids: {report['texts']:,} texts, "
        f"{report['tokens']:,} tokens, "
        f"{report['bytes_per_token']:.2f} bytes a token, "
        f"{report['unknown_rate']:.2%} unknown"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _draw_lengths(
    axes: Any, lengths: list[int], sequence_length: int | None
) -> None:
    filled = np.maximum(lengths, 1)
    edges = np.geomspace(filled.min(), filled.max() + 1, 41)
    axes.hist(filled, bins=np.unique(edges.round()), color="#4878a8")
    axes.margins(y=0.1)
    axes.set_xscale("log")
    axes.set(title="Length of texts", xlabel="tokens", ylabel="texts")
    if sequence_length is not None:
        share = np.mean(np.array(lengths) > sequence_length)
        axes.axvline(sequence_length, color="#c44e52", linestyle="--")
        axes.text(
            sequence_length,
            axes.get_ylim()[1] * 0.97,
            f" {share:.0%} longer than {sequence_length}",
            color="#c44e52",
            va="top",
        )


def _draw_uses(axes: Any, uses: np.ndarray) -> None:
    ordered = np.sort(uses[uses > 0])[::-1]
    ranks = np.arange(1, len(ordered) + 1)
    axes.loglog(ranks, ordered, color="#4878a8")
    axes.set(
        title=f"Use of the vocabulary: {len(ordered) / len(uses):.0%} occurs",
        xlabel="rank of the token",
        ylabel="times used",
    )
    axes.grid(alpha=0.3)
