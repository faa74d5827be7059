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
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

PAGE_BYTES = 2**21
# Smaller weights lie beside others, or hardly count.
_LEAST_BYTES = 2**20
_MAPS = pathlib.Path("/proc/self/maps")
_SETTING = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
# For what is written from now on, and at once, since Linux 6.1; earlier ones
# get to it by and by.
_ADVICE = MADV_HUGEPAGE, MADV_COLLAPSE = 14, 25


def pages_in_use() -> set[int]:
    """Returns the large pages that memory of this process fills, by number."""
    return set() if not _are_available() else set(_mapped_pages())


def use_huge_pages(
    variables: Sequence[tf.Variable], before: set[int] | None = None
) -> threading.Thread | None:
    """Moves weights, and what else came since, into large pages.

    Where Linux has them for the asking. All stays at its address and can be
    used all the while.

    Args:
        variables: The weights, of any types.
        before: What `pages_in_use` gave before there were packed copies of
            weights, whose addresses TensorFlow does not tell; None: none came.

    Returns:
        The thread that does it beside other work; None if nothing is to do.
    """
    if not _are_available():
        return None
    # Kept, so that they stay where they are until they are moved.
    buffers = [_buffer(v) for v in variables if _is_large(v)]
    pages = {page for buffer in buffers for page in _pages_of(buffer)}
    if before is not None:
        pages |= pages_in_use() - before
    if not pages:
        return None
    thread = threading.Thread(target=_move, args=(pages, buffers), daemon=True)
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


def _pages_of(buffer: np.ndarray) -> range:
    """Returns all pages that some bytes lie in."""
    start = buffer.ctypes.data
    end = start + buffer.nbytes
    return range(start // PAGE_BYTES, -(-end // PAGE_BYTES))


def _mapped_pages() -> Iterator[int]:
    """Returns the pages that lie in memory of no file, see proc_pid_maps(5)."""
    for line in _MAPS.read_text().splitlines():
        addresses, permissions, _, _, inode, *name = line.split()
        anonymous = inode == "0" and (not name or name == ["[heap]"])
        if anonymous and permissions == "rw-p":
            start, end = (int(part, 16) for part in addresses.split("-"))
            yield from range(-(-start // PAGE_BYTES), end // PAGE_BYTES)


def _move(pages: set[int], buffers: list[np.ndarray]) -> None:
    madvise = ctypes.CDLL(None).madvise
    for page in sorted(pages):
        address = ctypes.c_void_p(page * PAGE_BYTES)
        for advice in _ADVICE:
            # Advice alone: where it cannot be followed, all stays as it is.
            madvise(address, ctypes.c_size_t(PAGE_BYTES), advice)
