"""What a step of generation computes in ways that differ between backends."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_bigmodel.layers import dot_product

Tensor = Any


class Kernels:
    """Keras's way, which compilers such as XLA turn into the best there is.

    A backend that runs operations one by one may need another way. Axes as in
    dot_product.py.
    """

    # By how many slots the caches of a generation grow; None: they have all
    # their slots from the beginning, for compilers want to know shapes.
    growth: int | None = None

    def for_prompts(self) -> "Kernels":
        """Returns the kernels to read prompts with."""
        return self

    def for_single_tokens(self) -> "Kernels":
        """Returns the kernels to read one token of each row with."""
        return self

    def transpose(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Returns x with its axes in another order."""
        return ops.transpose(x, axes)

    def write(
        self, scope: Any, cache: Tensor, slots: Tensor, x: Tensor
    ) -> Tensor:
        """Returns a cache with some keys or values replaced.

        Args:
            scope: The active `DecodingScope`.
            cache: (B, K, S, D).
            slots: Where to write, int32 (1 or B, T), no slot twice.
            x: What to write, (B, K, T, D).
        """
        where = self.indices(scope, slots, x)
        return self.scatter(cache, where, ops.reshape(x, (-1, x.shape[3])))

    def write_new(
        self, scope: Any, shape: tuple, slots: Tensor, x: Tensor
    ) -> Tensor:
        """Returns a cache of zeros but for some keys or values.

        Args:
            scope: The active `DecodingScope`.
            shape: Of the cache, (B, K, S, D).
            slots: Where to write, int32 (1 or B, T), no slot twice.
            x: What to write, (B, K, T, D).
        """
        return self.write(scope, ops.zeros(shape, x.dtype), slots, x)

    def indices(self, scope: Any, slots: Tensor, x: Tensor) -> Tensor:
        """Returns where in a cache rows are, once a step, int32 (B * K * T, 3).

        Args:
            scope: The active `DecodingScope`.
            slots: Of the rows, int32 (1 or B, T).
            x: The rows, (B, K, T, D).
        """

        def indices() -> Tensor:
            batch, heads, length, _ = ops.shape(x)
            shape = (batch, heads, length)
            parts = [
                ops.arange(batch, dtype="int32")[:, None, None],
                ops.arange(heads, dtype="int32")[None, :, None],
                slots[:, None, :],
            ]
            parts = [ops.broadcast_to(part, shape) for part in parts]
            return ops.reshape(ops.stack(parts, axis=-1), (-1, 3))

        return scope.shared(("indices", x.shape[1], id(slots)), indices)

    def scatter(
        self, cache: Tensor, indices: Tensor, updates: Tensor
    ) -> Tensor:
        """Returns a cache with some rows replaced.

        Args:
            cache: (B, K, S, D).
            indices: Which rows, int32 (rows, 3), no row twice.
            updates: The new rows, (rows, D).
        """
        return ops.scatter_update(cache, indices, updates)

    def fold(self, x: Tensor) -> Tensor:
        """Returns the rows of a sequence to multiply, (rows, features).

        Args:
            x: (B, T, features).
        """
        return ops.reshape(x, (-1, x.shape[2]))

    def unfold(self, rows: Tensor, x: Tensor) -> Tensor:
        """Returns those of the rows that `fold` took from x, (B * T, units).

        Args:
            rows: What became of `fold(x)`, (rows, units).
            x: (B, T, features).
        """
        return rows

    def project(
        self,
        layer: keras.layers.Dense,
        x: Tensor,
        activation: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Returns what a Dense layer gives.

        Args:
            layer: The layer.
            x: (rows, inputs).
            activation: Applied to it; None: nothing.
        """
        if "products" in vars(layer):  # In another way, as of 8-bit integers.
            return layer.products(x, activation)
        y = layer(x)
        return y if activation is None else activation(y)

    def normalize(self, layer: keras.layers.Layer, x: Tensor) -> Tensor:
        """Returns what a normalisation layer gives.

        Args:
            layer: The layer.
            x: (B, T, features).
        """
        return layer(x)

    def score_tokens(self, hidden: Tensor, table: Tensor) -> Tensor:
        """Returns hidden states times a table of tokens, (rows, V).

        Args:
            hidden: (rows, features).
            table: (V, features).
        """
        return ops.matmul(hidden, ops.transpose(table))

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        bias: Tensor | None = None,
        **options: Any,
    ) -> Tensor:
        """Returns softmax(q k^T + bias) v, (B, K, G, T, D).

        Args:
            query: Scaled queries, (B, K, G, T, D).
            key: (B, K, S, D).
            value: (B, K, S, D).
            mask: Booleans, (1 or B, 1 or K, 1 or G, T, S), True where visible.
            bias: Added to the scores, shaped like `mask`.
            **options: Those of `dot_product.attend`.
        """
        return dot_product.attend(query, key, value, mask, bias, **options)


KERAS = Kernels()
