"""Draws how a training went."""

import math
import os
import pathlib
from collections.abc import Mapping

from keras_bigmodel.cli.training import Curves

_TRAINING, _VALIDATION, _REFERENCE = "#9aa5b1", "#0b6bcb", "#b45309"


def draw_curves(
    curves: Curves,
    path: str | os.PathLike,
    *,
    tokens_per_byte: tuple[float, float],
    references: Mapping[str, float] | None = None,
    title: str = "",
) -> pathlib.Path:
    """Draw the training and validation curves in bits per byte to a PNG.

    Args:
        curves: what `train` gave back.
        path: the picture's file.
        tokens_per_byte: of the training text and of the held-out text.
        references: bits per byte of other methods, drawn as level lines.
        title: what was trained.

    Raises:
        ValueError: matplotlib is not installed, or there is nothing to draw.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError(
            "Drawing needs matplotlib: pip install 'keras-bigmodel[plot]'. "
            f"Received: path={path}"
        ) from error
    if not curves.minutes:
        raise ValueError(
            "There are no rounds to draw: train for longer. "
            f"Received: curves={curves}"
        )
    training, validation = (
        [loss / math.log(2) * scale for loss in losses]
        for losses, scale in zip(
            (curves.training, curves.validation), tokens_per_byte, strict=True
        )
    )
    figure = Figure(figsize=(9, 5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e5e7eb")
    axes.set_axisbelow(True)
    axes.plot(
        curves.minutes,
        training,
        color=_TRAINING,
        label="training, with dropout",
    )
    axes.plot(
        curves.minutes[: len(validation)],
        validation,
        color=_VALIDATION,
        linewidth=2.5,
        marker="o",
        markersize=4,
        label="held out",
    )
    if validation:
        axes.annotate(
            f"{validation[-1]:.2f}",
            (curves.minutes[len(validation) - 1], validation[-1]),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=_VALIDATION,
            weight="bold",
        )
    for name, bits in (references or {}).items():
        axes.axhline(bits, color=_REFERENCE, linestyle="--", linewidth=1)
        axes.annotate(
            f"{name} {bits:.2f}",
            (1, bits),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 3),
            textcoords="offset points",
            ha="right",
            color=_REFERENCE,
        )
    axes.set_xlabel("minutes of training")
    axes.set_ylabel("bits per byte (lower is better)")
    axes.set_title(title, loc="left", weight="bold")
    axes.set_xlim(left=0)
    axes.legend(frameon=False, loc="upper right")
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
