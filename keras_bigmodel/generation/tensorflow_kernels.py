"""Steps of a generation in the operations that TensorFlow does best.

They are for graphs that run as they are: XLA has no kernel for some, and is
faster without the others.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_bigmodel.generation.step_rows import (
    ANY_ROWS,
    BLOCK_ROWS,
    MOST_ROWS,
    SEVERAL_ROWS,
)
from keras_bigmodel.generation.tensorflow_attention import (
    attend_to_cache,
    can_attend,
)
from keras_bigmodel.generation.tensorflow_blocks import BlockStore
from keras_bigmodel.generation.tensorflow_normalization import normalized
from keras_bigmodel.generation.tensorflow_packing import (
    is_plain,
    packed_product,
)
from keras_bigmodel.generation.tensorflow_parts import (
    PART_BYTES,
    Lanes,
    num_parts,
    parted_product,
    product_with_table,
    read,
    rows_of,
)
from keras_bigmodel.layers.decoding import shared
from keras_bigmodel.layers.kernels import Kernels

# Unsigned ones, for GPUs have no such scatter of int32.
_INTEGERS = {2: tf.uint16, 4: tf.uint32, 8: tf.uint64}


class _BlockKernels(Kernels):
    """Products by blocks of weights, where there are some.

    Args:
        blocks: Of weights that stay as they are; None: there are none.
    """

    growth = 32
    _packs = False
    _num_lanes: int | None = None

    def __init__(self, blocks: BlockStore | None = None) -> None:
        self._blocks = blocks

    def normalize(self, layer: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
        """Returns what a normalisation layer gives, in fewer operations.

        Args:
            layer: The layer.
            x: (B, T, features).
        """
        y, unscaled = normalized(layer, x)
        if self._blocks is not None and unscaled is not None:
            _remember_unscaled(rows_of(y), rows_of(unscaled), layer)
        return y

    def project(
        self,
        layer: keras.layers.Dense,
        x: tf.Tensor,
        activation: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Returns what a Dense layer gives.

        Args:
            layer: The layer.
            x: (rows, inputs).
            activation: Applied to it; None: nothing.
        """
        if not is_plain(layer) or x.dtype != tf.float32:
            return super().project(layer, x, activation)
        lanes = shared("lanes", lambda: Lanes(self._num_lanes))
        if self._blocks is not None:
            unscaled, normalization = _unscaled(x)
            blocks = self._blocks.find(layer, normalization)
            if blocks is not None:
                options = activation, lanes, self._packs
                return blocks.project(unscaled, *options)
        return self._project_whole(layer, x, activation, lanes)

    def _project_whole(
        self,
        layer: keras.layers.Dense,
        x: tf.Tensor,
        activation: Callable[[tf.Tensor], tf.Tensor] | None,
        lanes: Lanes,
    ) -> tf.Tensor:
        """Returns what a plain Dense layer without blocks gives."""
        return super().project(layer, x, activation)


class PromptKernels(_BlockKernels):
    """For a prompt: many rows at a time.

    Args:
        blocks: Of weights that stay as they are; None: kernels are read.
    """

    def fold(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the rows of x, (B, T, D)."""
        return rows_of(x)

    def write_new(
        self, scope: Any, shape: tuple, slots: tf.Tensor, x: tf.Tensor
    ) -> tf.Tensor:
        """Returns a cache of zeros but for some keys or values.

        Args:
            scope: The active `DecodingScope`.
            shape: Of the cache, (B, K, S, D).
            slots: Where to write, int32 (1 or B, T), no slot twice.
            x: What to write, (B, K, T, D).
        """
        where = self.indices(scope, slots, x)
        return tf.scatter_nd(where, tf.reshape(x, (-1, x.shape[3])), shape)

    def scatter(
        self, cache: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor
    ) -> tf.Tensor:
        """Returns a cache with some rows replaced, without a copy if it can.

        `tf.tensor_scatter_nd_update` copies its whole input.
        `ScatterNdNonAliasingAdd` takes over a buffer that nobody else holds.
        It adds: so the cache's bits are read as integers, and get the
        difference, which makes the sum exact.

        Args:
            cache: Floats, (B, K, S, D).
            indices: Which rows, int32 (rows, 3), no row twice.
            updates: The new rows, (rows, D).
        """
        integer = _INTEGERS[cache.dtype.size]
        old = tf.bitcast(tf.gather_nd(cache, indices), integer)
        bits = tf.raw_ops.ScatterNdNonAliasingAdd(
            input=tf.bitcast(cache, integer),
            indices=indices,
            updates=tf.bitcast(updates, integer) - old,
        )
        return tf.bitcast(bits, cache.dtype)


class StepKernels(_BlockKernels):
    """For a step: a token or a few of each row.

    Args:
        pack_weights: Whether products of several rows read copies of the
            weights, packed when the graph first runs, on x86-64 CPUs.
        rows: The least and the most rows that a step has.
        part_bytes: Bytes of weights that a core does alone.
        num_lanes: Cores that parts are meant for; None: any number.
        blocks: Of weights that stay as they are while the graph is used;
            None: products read kernels.
    """

    def __init__(
        self,
        pack_weights: bool = False,
        rows: tuple[int, float] = ANY_ROWS,
        part_bytes: int = PART_BYTES,
        num_lanes: int | None = None,
        blocks: BlockStore | None = None,
    ) -> None:
        super().__init__(blocks)
        self._packs = pack_weights and rows[1] >= SEVERAL_ROWS
        # Steps that may have fewer and more rows always get as many.
        self._pads = self._packs and rows[0] < BLOCK_ROWS <= rows[1]
        self._rows = rows
        self._part_bytes = part_bytes
        self._num_lanes = num_lanes

    def for_prompts(self) -> Kernels:
        """Returns the kernels to read prompts with."""
        alone = self._blocks is not None and self._blocks.replace_kernels
        return PromptKernels(self._blocks if alone else None)

    def for_single_tokens(self) -> Kernels:
        """Returns the kernels to read one token of each row with."""
        return StepKernels(
            part_bytes=self._part_bytes,
            num_lanes=self._num_lanes,
            blocks=self._blocks,
        )

    def transpose(self, x: tf.Tensor, axes: tuple[int, ...]) -> tf.Tensor:
        """Returns x with its axes in another order.

        oneDNN takes ten times as long for a few tokens as TensorFlow itself,
        which is asked to when numbers are integers.
        """
        if x.dtype != tf.float32:
            return super().transpose(x, axes)
        turned = tf.transpose(tf.bitcast(x, tf.uint32), axes)
        return tf.bitcast(turned, x.dtype)

    def write(
        self, scope: Any, cache: tf.Tensor, slots: tf.Tensor, x: tf.Tensor
    ) -> tf.Tensor:
        """Writes into the cache itself, which only the loop may hold.

        After `PromptKernels` nobody else does. A step depends on the tokens of
        the one before, so that nothing reads what the next has written.

        Args:
            scope: The active `DecodingScope`.
            cache: Floats, (B, K, S, D).
            slots: Where to write, int32 (1 or B, T), no slot twice.
            x: What to write, (B, K, T, D).
        """
        heads, dim = x.shape[1], x.shape[3]

        def rows() -> tf.Tensor:
            size = tf.shape(cache)[2]
            # Even those of a state that was made up are in their own row.
            inside = tf.clip_by_value(slots, 0, size - 1)[:, None, :]
            first = tf.range(tf.shape(x)[0] * heads) * size
            return tf.reshape(tf.reshape(first, [-1, heads, 1]) + inside, [-1])

        # All caches of as many heads that are written at `slots` are as long.
        written = tf.raw_ops.InplaceUpdate(
            x=tf.reshape(cache, [-1, dim]),
            i=scope.shared(("rows", heads, id(slots)), rows),
            v=tf.reshape(x, [-1, dim]),
        )
        written = tf.reshape(written, tf.shape(cache))
        written.set_shape(cache.shape)
        return written

    def fold(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the rows of x, (B, T, D), and zeros if they are too few."""
        rows = rows_of(x)
        if not self._pads:
            return rows

        def padding() -> tf.Tensor:
            missing = tf.maximum(BLOCK_ROWS - _num_rows(x), 0)
            return tf.scatter_nd([[0, 1]], missing[None], [2, 2])

        missing = _once("padding", x, padding)
        padded = tf.pad(rows, missing)
        unscaled, normalization = _unscaled(rows)
        if normalization is not None:
            unscaled = tf.pad(unscaled, missing)
            _remember_unscaled(padded, unscaled, normalization)
        return padded

    def unfold(self, rows: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Returns the rows without those that `fold` added."""
        if not self._pads:
            return rows
        size = _once("size", x, lambda: tf.stack([_num_rows(x), -1]))
        kept = tf.slice(rows, [0, 0], size)
        kept.set_shape([None, rows.shape[1]])
        return kept

    def _project_whole(
        self,
        layer: keras.layers.Dense,
        x: tf.Tensor,
        activation: Callable[[tf.Tensor], tf.Tensor] | None,
        lanes: Lanes,
    ) -> tf.Tensor:
        bias = read(layer.bias) if layer.use_bias else None
        if self._packs:
            return packed_product(x, layer.kernel, bias, activation)
        most = math.inf if self._rows[0] > MOST_ROWS else self._part_bytes
        parts = num_parts(*layer.kernel.shape, most)
        y = parted_product(x, read(layer.kernel), parts, bias, lanes)
        return y if activation is None else activation(y)

    def score_tokens(self, hidden: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
        """Returns hidden states times a table of tokens, (rows, V).

        Args:
            hidden: (rows, D).
            table: (V, D).
        """
        if self._packs and table.dtype == tf.float32:
            return packed_product(hidden, table, transpose=True)
        return product_with_table(hidden, table, self._rows)

    def attend(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        mask: tf.Tensor | None = None,
        bias: tf.Tensor | None = None,
        **options: Any,
    ) -> tf.Tensor:
        """Returns what attention gives, as `Kernels.attend`."""
        if not can_attend(query, options):
            return super().attend(query, key, value, mask, bias, **options)
        soft_cap = options["soft_cap"]
        # Several rows take so long that cores had better take what is there.
        lanes = None if self._rows[0] >= SEVERAL_ROWS else self._num_lanes
        return attend_to_cache(query, key, value, mask, bias, soft_cap, lanes)


def _remember_unscaled(
    rows: tf.Tensor, unscaled: tf.Tensor, normalization: keras.layers.Layer
) -> None:
    shared(("unscaled", rows.ref()), lambda: (unscaled, normalization))


def _unscaled(rows: tf.Tensor) -> tuple[tf.Tensor, keras.layers.Layer | None]:
    """Returns rows as they were before a normalisation scaled them, and it."""
    return shared(("unscaled", rows.ref()), lambda: (rows, None))


def _num_rows(x: tf.Tensor) -> tf.Tensor:
    """Returns B * T of x, (B, T, D)."""
    return _once("rows", x, lambda: tf.reduce_prod(tf.shape(x)[:2]))


def _once(
    name: str, x: tf.Tensor, compute: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """Computes once a step what depends on the shape of x, (B, T, D).

    Within a step, sequences of the same known length have as many rows.
    """
    if x.shape[1] is None:
        return compute()
    return shared((name, x.shape[1]), compute)
