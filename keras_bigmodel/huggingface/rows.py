"""Which tensors of a checkpoint are which weights of a model."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_bigmodel.huggingface.transforms import SAME, Same


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a family's table of weights.

    `{i}` in a name counts blocks and `{e}` experts. A row counts where our
    model has the weights it names.

    Args:
        theirs: The checkpoint's names, one or several.
        ours: The paths of our weights, one or several.
        transform: From theirs to ours.
    """

    theirs: str | tuple[str, ...]
    ours: str | tuple[str, ...]
    transform: Same = SAME

    def at(self, index: int | None = None) -> "Row":
        """Returns the row of one block, its names as tuples."""
        return Row(
            tuple(
                name.replace("{i}", str(index)) for name in _many(self.theirs)
            ),
            tuple(name.replace("{i}", str(index)) for name in _many(self.ours)),
            self.transform,
        )


def expand(
    rows: Iterable[Row], paths: Mapping[str, Sequence[int]], num_blocks: int
) -> list[Row]:
    """Returns the rows of a model's weights, each with plain names.

    Args:
        rows: The family's.
        paths: The shape of each of our weights, by path.
        num_blocks: How many blocks `{i}` counts.

    Raises:
        ValueError: If no row, or more than one, has a weight of the model.
    """
    found = []
    for row in rows:
        counted = "{i}" in _many(row.ours)[0]
        for index in range(num_blocks) if counted else [None]:
            one = row.at(index)
            if all(path in paths for path in one.ours):
                found.append(_with_experts(one, paths[one.ours[0]]))
    owned = Counter(path for row in found for path in row.ours)
    strange = sorted(set(paths) - set(owned))
    twice = sorted(path for path, count in owned.items() if count > 1)
    if strange or twice:
        raise ValueError(
            "The family's table does not name these weights once each. "
            f"Received: weights={(strange + twice)[:20]}"
        )
    return found


def _with_experts(row: Row, shape: Sequence[int]) -> Row:
    if "{e}" not in row.theirs[0]:
        return row
    names = [
        name.replace("{e}", str(expert))
        for name in row.theirs
        for expert in range(shape[0])
    ]
    return dataclasses.replace(row, theirs=tuple(names))


def _many(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def linear(theirs: str, ours: str, transform: Any) -> list[Row]:
    """Returns the rows of a linear layer's weight and bias.

    Args:
        theirs: The layer's name there.
        ours: The layer's path here.
        transform: Of the weight; the bias is the same.
    """
    return [
        Row(f"{theirs}.weight", f"{ours}/kernel", transform),
        Row(f"{theirs}.bias", f"{ours}/bias"),
    ]


def normalization(theirs: str, ours: str, transform: Any = SAME) -> list[Row]:
    """Returns the rows of a normalisation's weight and bias.

    Args:
        theirs: The layer's name there.
        ours: The layer's path here.
        transform: Of the weight; the bias is the same.
    """
    return [
        Row(f"{theirs}.weight", f"{ours}/gamma"),
        Row(f"{theirs}.weight", f"{ours}/scale", transform),
        Row(f"{theirs}.bias", f"{ours}/beta"),
    ]
