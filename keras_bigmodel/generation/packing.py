"""When a generation may keep copies of the weights."""

import math
import os
import pathlib

import keras

from keras_bigmodel.generation import compiled
from keras_bigmodel.generation.step_rows import MOST_ROWS

_PACKED = "_keras_bigmodel_packed_weights"
_CHANGES = "_keras_bigmodel_weights_change"

# Smaller models sit in the CPU's own caches, and a few tokens are made before
# the weights have been copied. Many rows are better off without copies.
_LEAST_BYTES = 64 * 2**20
_LEAST_TOKENS = 8
_SHARE_OF_MEMORY = 1 / 8
_CGROUP_LIMIT = pathlib.Path("/sys/fs/cgroup/memory.max")


def decide(
    model: keras.Model,
    wanted: bool | None,
    jit_compile: bool,
    num_rows: int,
    num_tokens: int,
) -> bool:
    """Tells whether a generation runs on copies of the weights.

    Programs that hold copies of other weights than the model's are dropped.

    Args:
        model: The model that generates.
        wanted: What the caller wants; None: copies where they pay and the
            weights have not changed between calls.
        jit_compile: Whether XLA compiles the generation.
        num_rows: Rows of a step.
        num_tokens: Tokens to be made.

    Raises:
        ValueError: If packed weights are wanted where there are none.
    """
    kept = model.__dict__
    if wanted is None:
        enough = num_tokens >= _LEAST_TOKENS or _PACKED in kept
        pays = num_rows <= MOST_ROWS and enough
        if jit_compile or not pays or kept.get(_CHANGES):
            return False
    elif not wanted:
        return False
    available = keras.config.backend() == "tensorflow" and not jit_compile
    if available:
        from keras_bigmodel.generation import tensorflow_packing

        available = tensorflow_packing.is_available()
    if wanted and not available:
        raise ValueError(
            "Weights can be packed for TensorFlow on an x86-64 CPU, without "
            "XLA. Received: pack_weights=True, "
            f"backend={keras.config.backend()!r}, jit_compile={jit_compile}"
        )
    if not available:
        return False
    weights = tensorflow_packing.packable_weights(model)
    size = sum(math.prod(w.shape) * w.dtype.size for w in weights)
    fits = _LEAST_BYTES <= size <= _SHARE_OF_MEMORY * _memory()
    if not weights or not (fits or wanted):
        return False
    if _PACKED not in kept:
        kept[_PACKED] = tensorflow_packing.hold(weights)
        return True
    if tensorflow_packing.are_held(kept[_PACKED], weights):
        return True
    compiled.forget(model)
    kept[_PACKED] = tensorflow_packing.hold(weights)
    kept[_CHANGES] = True
    return bool(wanted)


def _memory() -> float:
    """Returns the bytes of memory that this process may have."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(physical, float(_CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # No such limit, or "max".
        return physical
