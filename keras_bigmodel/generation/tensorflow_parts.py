"""Products of a few rows with large matrices, in parts.

A processor takes tens of microseconds to wake its cores whenever an operation
is shared out among them, as long as one core takes to read a megabyte. So a
product is cut into parts which a core does alone, and TensorFlow's executor,
which never waits for all of them at once, hands the parts to the cores.
"""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator
from functools import partial

import keras
import tensorflow as tf

from keras_bigmodel.generation.step_rows import (
    ANY_ROWS,
    MOST_ROWS,
    SEVERAL_ROWS,
)
from keras_bigmodel.layers.decoding import shared

# A core of most servers has at least 1 MiB of cache of its own; oneDNN does
# alone what fits into it.
PART_BYTES = 2**20
_CACHE_OF_A_CORE = pathlib.Path("/sys/devices/system/cpu/cpu0/cache/index2")
# A part must begin where vectors begin, or it would be copied.
ALIGNMENT = 64
# Into how many parts a table is cut, and from which size of the parts on.
_TABLE_PARTS, _LEAST_TABLE_PART = 16, 256
# What a step shares: the first of the products that cores do side by side.
_LATEST = "latest products"


def part_bytes() -> int:
    """Returns the bytes of weights that a core of this machine does alone."""
    try:
        kibibytes = (_CACHE_OF_A_CORE / "size").read_text().removesuffix("K\n")
        return max(int(kibibytes) * 2**10, PART_BYTES)
    except (OSError, ValueError):
        return PART_BYTES


def num_cores() -> int:
    """Returns how many operations this process does side by side."""
    set_by_user = tf.config.threading.get_inter_op_parallelism_threads()
    if set_by_user:
        return set_by_user
    if hasattr(os, "sched_getaffinity"):  # Not on macOS.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_parts(inputs: int, outputs: int, part_bytes: float) -> int:
    """Returns into how many parts of its rows a matrix is cut, 1 for none.

    A power of two or three quarters of one, for cores to share out evenly.

    Args:
        inputs: Rows of the matrix, which is of float32.
        outputs: Its columns.
        part_bytes: Bytes of a part at most.
    """
    row = outputs * tf.float32.size
    parts = 1
    while row * inputs > parts * part_bytes:
        parts *= 2
    fewer = parts * 3 // 4
    if parts >= 8 and row * inputs <= fewer * part_bytes and not inputs % fewer:
        parts = fewer
    return 1 if inputs % parts or row % ALIGNMENT else parts


class Lanes:
    """Has operations wait for one another, in as many lines as there are cores.

    When many become ready at once, TensorFlow's executor hands them out one by
    one, each to a thread that it may have to wake, before it begins with one
    itself. An operation that follows in its lane is run at once by the thread
    that did the one before.

    Args:
        number: How many lanes; None: nothing waits.
    """

    def __init__(self, number: int | None = None) -> None:
        self.number = number or 0
        # The latest operation in each, and the one before.
        self._ends: list[tuple] = [(None, None)] * self.number

    def follow(
        self, make: Callable[[], tf.Tensor], early: bool = False
    ) -> tf.Tensor:
        """Returns what `make` gives, an operation in the next lane.

        Args:
            make: Makes the operation.
            early: Whether it waits only for the one before the latest.
        """
        if not self._ends:
            return make()
        before, latest = self._ends.pop(0)
        awaited = before if early else latest
        graph = tf.compat.v1.get_default_graph()
        known = awaited is not None and awaited.graph is graph
        with tf.control_dependencies([awaited] if known else []):
            made = make()
        self._ends.append((latest, made.op))
        return made


def side_by_side(
    makes: list[Callable[[], tf.Tensor]], lanes: Lanes
) -> list[tf.Tensor]:
    """Returns products that cores do side by side.

    The last of each lane may begin early: a core that is held up by other
    work leaves its own to one that would have nothing to do.

    Args:
        makes: Each gives a product.
        lanes: In which they follow one another.
    """
    early = max(lanes.number, len(makes) - lanes.number)
    products = [
        lanes.follow(make, early=number >= early)
        for number, make in enumerate(makes)
    ]
    if not tf.executing_eagerly():
        shared(_LATEST, list)[:] = [products[0].op]
    return products


@contextlib.contextmanager
def beside_products() -> Iterator[None]:
    """Has what is made within wait for the first of the latest products.

    A step of a loop begins with all that waits for nothing, one by one, so
    that reading hundreds of weights would come before the first product. Most
    of them are better read by cores that wait for others.
    """
    graph = tf.compat.v1.get_default_graph()
    latest = shared(_LATEST, list)
    with tf.control_dependencies([op for op in latest if op.graph is graph]):
        yield


def read(variable: keras.Variable) -> tf.Tensor:
    """Returns the value of a weight, read beside products."""
    with beside_products():
        return tf.convert_to_tensor(variable)


def parted_product(
    x: tf.Tensor,
    weights: tf.Tensor,
    parts: int,
    bias: tf.Tensor | None = None,
    lanes: Lanes | None = None,
) -> tf.Tensor:
    """Returns x W + b as a sum of products of parts.

    Args:
        x: (rows, inputs).
        weights: W, (inputs, outputs).
        parts: How many.
        bias: b, (outputs,); None: zeros.
        lanes: In which the products follow one another.
    """
    if parts == 1:
        y = tf.matmul(x, weights)
    else:
        pairs = zip(pieces_of(x, parts), tf.split(weights, parts), strict=True)
        makes = [partial(tf.matmul, *pair) for pair in pairs]
        y = tf.add_n(side_by_side(makes, lanes or Lanes()))
    return y if bias is None else y + bias


def rows_of(x: tf.Tensor) -> tf.Tensor:
    """Returns the rows of a sequence, as they came if they did.

    Args:
        x: (batch, sequence, features).
    """
    return shared(("rows", x.ref()), lambda: tf.reshape(x, [-1, x.shape[-1]]))


def sequence_of(rows: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Returns rows put together, and remembers them.

    Args:
        rows: (batch * sequence, features).
        x: A sequence of the same shape, (batch, sequence, features).
    """
    y = tf.reshape(rows, tf.shape(x))
    y.set_shape(x.shape)
    shared(("rows", y.ref()), lambda: rows)
    return y


def pieces_of(x: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Returns equal pieces of the columns of x, as they came if they did.

    Args:
        x: (rows, columns).
        count: How many.
    """
    if count == 1:
        return [x]

    def pieces() -> list[tf.Tensor]:
        known = shared(("put together", x.ref()), list)
        size, rest = divmod(len(known), count)
        if rest or not size:
            return tf.split(x, count, axis=1)
        groups = [known[size * i : size * (i + 1)] for i in range(count)]
        return [put_together(group) for group in groups]

    return shared(("pieces", count, x.ref()), pieces)


def put_together(pieces: list[tf.Tensor]) -> tf.Tensor:
    """Returns columns put together, and remembers of which pieces.

    Where `pieces` are asked for they are not put together at all.

    Args:
        pieces: (rows, columns) each.
    """
    if len(pieces) == 1:
        return pieces[0]
    y = tf.concat(pieces, axis=1)
    shared(("put together", y.ref()), lambda: pieces)
    return y


def product_with_table(
    hidden: tf.Tensor, table: tf.Tensor, rows: tuple[int, float] = ANY_ROWS
) -> tf.Tensor:
    """Returns hidden states times a table of tokens, (rows, V).

    oneDNN repacks a matrix that has to be transposed before it meets several
    rows, and the cores wait for memory. Parts of a large table, as a batch of
    products, are repacked inside the processor's caches: eight rows take half
    the time.

    Args:
        hidden: (rows, D).
        table: (V, D).
        rows: Least and most rows there may be.
    """

    def whole() -> tf.Tensor:
        return tf.matmul(hidden, table, transpose_b=True)

    size = table.shape[0] // _TABLE_PARTS
    never = rows[1] < SEVERAL_ROWS or rows[0] > MOST_ROWS
    if size < _LEAST_TABLE_PART or never:
        return whole()
    number = tf.shape(hidden)[0]
    return tf.cond(
        tf.logical_and(number >= SEVERAL_ROWS, number <= MOST_ROWS),
        lambda: _in_table_parts(hidden, table, size),
        whole,
    )


def _in_table_parts(
    hidden: tf.Tensor, table: tf.Tensor, size: int
) -> tf.Tensor:
    rows, width = tf.shape(hidden)[0], table.shape[1]
    whole = size * _TABLE_PARTS
    found = tf.matmul(
        tf.broadcast_to(hidden, (_TABLE_PARTS, rows, width)),
        tf.reshape(table[:whole], (_TABLE_PARTS, size, width)),
        transpose_b=True,
    )
    found = tf.reshape(tf.transpose(found, (1, 0, 2)), (rows, whole))
    if whole == table.shape[0]:
        return found
    rest = tf.matmul(hidden, table[whole:], transpose_b=True)
    return tf.concat([found, rest], axis=1)
