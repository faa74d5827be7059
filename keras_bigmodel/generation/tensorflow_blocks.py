"""Weights of Dense layers in long and narrow blocks.

A core reads a matrix of some 256 columns a third faster than a wide one, and
writes less of what it makes of several rows. What a block of all inputs makes
is done: an activation may follow at once, and so may blocks of the next layer.
Blocks do not lie together in a kernel, so that they are copies of it.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bigmodel.generation.tensorflow_normalization import weights_behind
from keras_bigmodel.generation.tensorflow_packing import packed_product
from keras_bigmodel.generation.tensorflow_parts import (
    ALIGNMENT,
    PART_BYTES,
    Lanes,
    beside_products,
    pieces_of,
    put_together,
    side_by_side,
)

_MOST_COLUMNS, _LEAST_COLUMNS = 256, 64


@dataclasses.dataclass(frozen=True)
class Blocks:
    """A kernel in blocks of its inputs and its outputs.

    Args:
        values: (groups * count, inputs / groups, outputs / count), first those
            of the first inputs.
        bias: (outputs,); None: zeros.
        groups: Into how many parts inputs are cut.
        count: Into how many parts outputs are cut.
    """

    values: tf.Tensor | tf.Variable
    bias: np.ndarray | tf.Variable | None
    groups: int
    count: int

    def project(
        self,
        x: tf.Tensor,
        activation: Callable[[tf.Tensor], tf.Tensor] | None,
        lanes: Lanes,
        packed: bool = False,
    ) -> tf.Tensor:
        """Returns f(x W + b).

        Args:
            x: (rows, inputs).
            activation: f, of each number by itself; None: nothing.
            lanes: In which products follow one another.
            packed: Whether they read packed copies, see `packed_product`.
        """
        with beside_products():
            blocks = tf.unstack(self.values)
            bias = self.bias
            if bias is not None:
                bias = tf.convert_to_tensor(bias)
        pieces = [
            piece
            for piece in pieces_of(x, self.groups)
            for _ in range(self.count)
        ]
        if not packed:
            pairs = zip(pieces, blocks, strict=True)
            makes = [partial(tf.matmul, *pair) for pair in pairs]
            y = tf.concat(self._sums(side_by_side(makes, lanes)), axis=1)
            y = y if bias is None else y + bias
            return y if activation is None else activation(y)
        biases = [None] * len(blocks)
        if bias is not None:
            biases[: self.count] = tf.split(bias, self.count)
        within = activation if self.groups == 1 else None
        makes = [
            partial(packed_product, *part, within)
            for part in zip(pieces, blocks, biases, strict=True)
        ]
        y = put_together(self._sums(side_by_side(makes, lanes)))
        if within is None and activation is not None:
            return activation(y)
        return y

    def _sums(self, products: list[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the sums over all inputs, for some outputs each."""
        if self.groups == 1:
            return products
        return [tf.add_n(products[i :: self.count]) for i in range(self.count)]


class BlockStore:
    """The blocks of a model's kernels, cut when they are first asked for.

    Args:
        part_bytes: Bytes of a block at most.
        keep: Has the blocks of a kernel stay; default: in memory.
        keep_bias: Has biases stay; default: in the graph itself.
        replace_kernels: Whether the kernels themselves are not kept, so that
            prompts read blocks too.
    """

    def __init__(
        self,
        part_bytes: int = PART_BYTES,
        keep: Callable[[tf.Tensor], Any] = tf.identity,
        keep_bias: Callable[[tf.Tensor], Any] = np.asarray,
        replace_kernels: bool = False,
    ) -> None:
        self.replace_kernels = replace_kernels
        self._part_bytes = part_bytes
        self._keep, self._keep_bias = keep, keep_bias
        # Layers too, so that no other has their ids.
        self._found: dict[tuple[int, int], tuple] = {}

    def find(
        self,
        layer: keras.layers.Dense,
        normalization: keras.layers.Layer | None = None,
    ) -> Blocks | None:
        """Returns the blocks of a layer; None: its kernel is not cut.

        Args:
            layer: A built layer that is a product with its kernel.
            normalization: What its inputs come from, whose scaling the blocks
                do too; None: nothing.
        """
        key = id(layer), id(normalization)
        if key not in self._found:
            blocks = self._cut(layer, normalization)
            self._found[key] = blocks, layer, normalization
        return self._found[key][0]

    def _cut(
        self,
        layer: keras.layers.Dense,
        normalization: keras.layers.Layer | None,
    ) -> Blocks | None:
        cuts = num_cuts(*layer.kernel.shape, self._part_bytes)
        if cuts is None:
            return None
        groups, count = cuts
        with tf.init_scope():
            kernel, bias = weights_behind(layer, normalization)
            inputs, outputs = kernel.shape
            size = inputs // groups, outputs // count
            blocks = tf.reshape(kernel, [groups, size[0], count, size[1]])
            blocks = tf.transpose(blocks, [0, 2, 1, 3])
            blocks = self._keep(tf.reshape(blocks, [groups * count, *size]))
            bias = None if bias is None else self._keep_bias(bias)
            return Blocks(blocks, bias, groups, count)


def num_cuts(
    inputs: int, outputs: int, part_bytes: int
) -> tuple[int, int] | None:
    """Returns into how many parts inputs and outputs are cut.

    Args:
        inputs: Rows of a kernel of float32.
        outputs: Its columns.
        part_bytes: Bytes of a block at most.

    Returns:
        Both; None where a core does the whole, or blocks would not begin where
        vectors do, so that each step had to copy them.
    """
    if inputs * outputs * tf.float32.size <= part_bytes:
        return None
    step = ALIGNMENT // tf.float32.size
    columns = _MOST_COLUMNS
    while columns >= _LEAST_COLUMNS and outputs % columns:
        columns -= step
    groups = 1
    while inputs * columns * tf.float32.size > groups * part_bytes:
        groups *= 2
    if columns < _LEAST_COLUMNS or inputs % groups:
        return None
    return groups, outputs // columns
