"""Puts a checkpoint's tensors into a model, one at a time."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import ml_dtypes
import numpy as np

from keras_bigmodel.huggingface.checkpoint import Checkpoint
from keras_bigmodel.huggingface.family import Family
from keras_bigmodel.huggingface.rows import Row, expand

# What a model keeps for itself and no checkpoint has.
OWN = re.compile(r"/(expert_use|seed_generator_state|lora_kernel_[ab])$")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
MAX_LISTED = 1000
_STRIP = 16


def build_empty(build: Callable[[], keras.Model]) -> keras.Model:
    """Returns a model whose weights have shapes and no values yet.

    Neither memory nor time is spent on values that a checkpoint replaces.
    """

    def build_stateless() -> keras.Model:
        with keras.StatelessScope(initialize_variables=False):
            return build()

    # Keras keeps a thread's list of variables without a value; a thread of its
    # own forgets them when it ends.
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(build_stateless).result()


def weights_by_path(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns the weights that a checkpoint holds, by path."""
    return {
        weight.path: weight
        for weight in model.variables
        if not OWN.search(weight.path)
    }


def rows_of(
    family: Family, options: Mapping[str, Any], model: keras.Model
) -> list[Row]:
    """Returns the family's table for this model, with plain names."""
    shapes = {
        path: tuple(weight.shape)
        for path, weight in weights_by_path(model).items()
    }
    counts = (options["num_layers"], options.get("num_decoder_layers") or 0)
    return expand(family.rows(dict(options)), shapes, max(counts))


def load_weights(
    model: keras.Model,
    family: Family,
    options: Mapping[str, Any],
    checkpoint: Checkpoint,
    allow_nonfinite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Gives an empty model its values.

    Args:
        model: As `build_empty` returns it.
        family: Says which tensor is which weight.
        options: The model's arguments.
        checkpoint: Holds the tensors.
        allow_nonfinite: Whether NaN and infinity may come.
        progress: Called after each row, with how many are read and how many
            there are.

    Raises:
        ValueError: If tensors are missing, surplus, misshaped or not of
            floating point (it names all), or hold NaN or infinity.
    """
    weights = weights_by_path(model)
    rows = rows_of(family, options, model)
    names = match_tensors(family, rows, weights, checkpoint)
    # The largest first: what is needed beside the weights is needed early.
    rows.sort(key=lambda row: -sum(_size(weights[path]) for path in row.ours))

    def load_row(row: Row) -> None:
        theirs = [names[name] for name in row.theirs]
        arrays = [checkpoint.read(name) for name in theirs]
        if not allow_nonfinite:
            for name, array in zip(theirs, arrays, strict=True):
                check_finite(name, array)
        shapes = [tuple(weights[path].shape) for path in row.ours]
        ours = row.transform.to_ours(arrays, shapes)
        for path, value in zip(row.ours, ours, strict=True):
            give_value(weights[path], value)
        for name in theirs:
            checkpoint.release(name)

    for done, row in enumerate(rows, start=1):
        load_row(row)
        if progress is not None:
            progress(done, len(rows))
    for variable in model.variables:
        if OWN.search(variable.path):
            variable._deferred_initialize()


def give_value(variable: keras.Variable, value: np.ndarray) -> None:
    """Makes a value the first one of a variable that has none."""
    value = as_dtype(value, variable.dtype)
    # Keras calls what stands here when it makes the variable.
    variable._initializer = lambda shape, dtype: value
    variable._deferred_initialize()


def as_dtype(array: np.ndarray, dtype: Any) -> np.ndarray:
    """Returns an array in C order and another dtype, rounded to nearest."""
    dtype = np.dtype(BFLOAT16 if str(dtype) == "bfloat16" else str(dtype))
    if array.dtype == BFLOAT16 and dtype == np.float32:
        # A bfloat16 is the upper half of a float32.
        wide = np.left_shift(array.view(np.uint16), 16, dtype=np.uint32)
        array = wide.view(np.float32)
    if array.ndim == 2 and array.flags.fnc:
        return _in_c_order(array, dtype)
    return np.ascontiguousarray(array, dtype)


def _in_c_order(turned: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Returns a transposed matrix in C order.

    Strip by strip, as wide as a line of the processor's cache: a fifth of the
    time of one assignment.
    """
    ordered = np.empty(turned.shape, dtype)
    for start in range(0, turned.shape[1], _STRIP):
        strip = slice(start, start + _STRIP)
        ordered[:, strip] = turned[:, strip]
    return ordered


def check_finite(name: str, array: np.ndarray) -> None:
    """Refuses NaN and infinity.

    Raises:
        ValueError: If there is one.
    """
    if array.dtype in (np.float32, np.float64):
        # A sum is finite only where every part is, and cheap.
        with np.errstate(all="ignore"):
            good = math.isfinite(np.sum(array)) or np.isfinite(array).all()
    else:
        bits = array.reshape(-1).view(np.uint16)
        exponent = np.uint16(0x7F80 if array.dtype == BFLOAT16 else 0x7C00)
        good = not any(
            np.any((bits[start : start + 2**20] & exponent) == exponent)
            for start in range(0, bits.size, 2**20)
        )
    if not good:
        raise ValueError(
            "A tensor holds NaN or infinity; `allow_nonfinite=True` loads it "
            f"nevertheless. Received: tensor={name!r:.100}"
        )


def match_tensors(
    family: Family,
    rows: Sequence[Row],
    weights: Mapping[str, keras.Variable],
    checkpoint: Checkpoint,
) -> dict[str, str]:
    """Returns the checkpoint's name of each tensor that the rows name.

    Raises:
        ValueError: If tensors are missing, surplus, misshaped or not of
            floating point.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for row in rows:
        ours = [tuple(weights[path].shape) for path in row.ours]
        theirs = row.transform.their_shapes(ours)
        shapes.update(zip(row.theirs, theirs, strict=True))
    places = checkpoint.places
    bare = not any(name.startswith(family.prefix) for name in places)
    names: dict[str, str] = {}
    twice = []
    for name in places:
        renamed = name
        for pattern, replacement in family.renamed:
            renamed = re.sub(pattern, replacement, renamed)
        own = renamed in shapes or renamed in family.tied
        full = family.prefix + renamed if bare and not own else renamed
        if full in names:
            twice.append(f"twice: {names[full]} and {name}")
        names[full] = name
    surplus = [
        name
        for full, name in names.items()
        if full not in shapes
        and not _is_ignored(family, full)
        and not _is_twice(family, full, names, checkpoint)
    ]
    for name, original in family.copied.items():
        if name in shapes and original in names:
            names.setdefault(name, names[original])
    problems = [
        *twice,
        *(f"missing: {name}" for name in shapes if name not in names),
    ]
    problems += [f"surplus: {name}" for name in surplus]
    for full, shape in shapes.items():
        place = full in names and places[names[full]]
        if place and place.shape != shape:
            problems.append(
                f"misshaped: {names[full]} is {list(place.shape)}, must be "
                f"{list(shape)}"
            )
        if place and place.dtype.kind not in "fV":
            problems.append(f"not floating point: {names[full]}")
    if problems:
        more = len(problems) - MAX_LISTED
        listed = [problem[:300] for problem in problems[:MAX_LISTED]]
        raise ValueError(
            f"The tensors are not those of this {family.model_type} model; "
            f"{'; '.join(listed)}{f'; {more} more' if more > 0 else ''}. "
            f"Received: {len(problems)} tensors that are wrong"
        )
    return names


def _is_ignored(family: Family, name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in family.ignored)


def _is_twice(
    family: Family,
    name: str,
    names: Mapping[str, str],
    checkpoint: Checkpoint,
) -> bool:
    """Returns whether a tensor only repeats the one it is tied to."""
    original = names.get(family.tied.get(name, ""))
    if original is None:
        return False
    return np.array_equal(
        checkpoint.read(names[name]), checkpoint.read(original)
    )


def _size(variable: keras.Variable) -> int:
    return math.prod(variable.shape)
