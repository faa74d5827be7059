"""Weights in memory pages of 2 MiB.

A step reads all weights once, and a processor has to translate an address for
every page of them, in a virtual machine twice: where others crowd its caches,
steps take a fifth longer in pages of 4 KiB. Linux gives large pages to a
process that asks for them, see madvise(2).
"""

import ctypes
import pathlib
import sys
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

PAGE_BYTES = 2**21
# Smaller weights lie beside others, or hardly count.
_LEAST_BYTES = 2**20
_SETTING = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
# For what is written from now on, and at once, since Linux 6.1; earlier ones
# get to it by and by.
_ADVICE = MADV_HUGEPAGE, MADV_COLLAPSE = 14, 25


def use_huge_pages(
    variables: Sequence[tf.Variable],
) -> threading.Thread | None:
    """Moves weights into large pages, where Linux has them for the asking.

    They stay at their addresses and can be used all the while.

    Args:
        variables: The weights, of any types.

    Returns:
        The thread that does it beside other work; None if nothing is to do.
    """
    if not _are_available():
        return None
    buffers = [_buffer(v) for v in variables if _is_large(v)]
    if not buffers:
        return None
    thread = threading.Thread(target=_move, args=(buffers,), daemon=True)
    thread.start()
    return thread


def _are_available() -> bool:
    try:
        return sys.platform == "linux" and "[never]" not in _SETTING.read_text()
    except OSError:
        return False


def _is_large(variable: tf.Variable) -> bool:
    size = variable.shape.num_elements() * variable.dtype.size
    return size >= _LEAST_BYTES and "CPU" in variable.device


def _buffer(variable: tf.Variable) -> np.ndarray:
    """Returns the bytes of a variable themselves, no copy."""
    # Python's buffers know no bfloat16.
    return np.asarray(memoryview(tf.bitcast(variable.value(), tf.uint8)))


def _move(buffers: list[np.ndarray]) -> None:
    madvise = ctypes.CDLL(None).madvise
    pages = set()
    for buffer in buffers:
        first = buffer.ctypes.data // PAGE_BYTES
        last = (buffer.ctypes.data + buffer.nbytes - 1) // PAGE_BYTES
        pages.update(range(first, last + 1))
    for page in sorted(pages):
        address = ctypes.c_void_p(page * PAGE_BYTES)
        for advice in _ADVICE:
            # Advice alone: where it cannot be followed, all stays as it is.
            madvise(address, ctypes.c_size_t(PAGE_BYTES), advice)
