"""Steps of a generation as JAX does them best on a GPU."""

from typing import Any

from keras import ops

from keras_bigmodel.generation.step_rows import BLOCK_ROWS
from keras_bigmodel.layers.kernels import Kernels

Tensor = Any


class JaxKernels(Kernels):
    """Multiplies a few rows at least.

    XLA turns a product with a single row into a reduction, which takes longer
    than the product of eight rows does: a step of GPT-2 small on an H200 takes
    twice as long.
    """

    def fold(self, x: Tensor) -> Tensor:
        """Returns the rows of x, (B, T, features), and zeros below."""
        rows = super().fold(x)
        missing = max(BLOCK_ROWS - rows.shape[0], 0)
        return ops.pad(rows, ((0, missing), (0, 0))) if missing else rows

    def unfold(self, rows: Tensor, x: Tensor) -> Tensor:
        """Returns the rows without those that `fold` added."""
        return rows[: x.shape[0] * x.shape[1]]
