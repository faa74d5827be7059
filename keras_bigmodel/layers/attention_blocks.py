"""Cuts a long sequence into blocks of queries and the keys that each sees.

Axes as in dot_product.py.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_bigmodel.layers.dot_product import group_scores
from keras_bigmodel.layers.masks import NO_KEY, Visibility

Tensor = Any

# Parts of the sequence by which the keys grow where later ones are hidden: the
# blocks compute 10 / 16 of all scores.
CAUSAL_RANGES = 4


class AttentionBlocks:
    """Knows the queries, the keys and the masks of each block.

    A block sees one of the `spans` of keys: all of them; with a causal window,
    those around it; where later keys are hidden, those up to its end.

    Args:
        visibility: What each query may see.
        bias: From query and key positions to what is added to the scores,
            (1 or B, H, T, S), or None.
        size: Queries a block.
        num_groups: K.
        num_queries: T.
        num_keys: S.
        aligned: Whether query t and key t are the same token.
        in_order: Whether, moreover, keys after a query are hidden from it.
    """

    def __init__(
        self,
        visibility: Visibility,
        bias: Callable[[Tensor, Tensor], Tensor | None],
        size: int,
        num_groups: int,
        num_queries: int,
        num_keys: int,
        aligned: bool,
        in_order: bool,
    ) -> None:
        self.visibility = visibility
        self.bias = bias
        self.size = size
        self.num_groups = num_groups
        self.length = num_queries
        self.count = -(-self.length // size)
        self.window = None
        self.spans = [num_keys]
        if aligned and visibility.causal and visibility.window is not None:
            self.window = visibility.window
            self.spans = [size + self.window - 1]
        elif in_order:
            ranges = min(CAUSAL_RANGES, self.count)
            ends = [-(-self.count * (r + 1) // ranges) for r in range(ranges)]
            self.spans = [min(end * size, num_keys) for end in ends]

    @property
    def may_hide_everything(self) -> bool:
        """Whether some row, of those that fill up too, may see no key."""
        return self.visibility.may_hide_everything or self.window is not None

    def span_of(self, index: Tensor) -> Tensor:
        """Returns which of the spans block `index` sees."""
        return index * len(self.spans) // self.count

    def split(self, x: Tensor) -> Tensor:
        """Turns (B, K, G, T, D) into (blocks, B, K, G, size, D)."""
        x = self._pad_queries(x, axis=3)
        batch, groups, shared, _, dim = ops.shape(x)
        shape = (batch, groups, shared, self.count, self.size, dim)
        return ops.transpose(ops.reshape(x, shape), (3, 0, 1, 2, 4, 5))

    def join(self, x: Tensor) -> Tensor:
        """Undoes `split`."""
        _, batch, groups, shared, _, dim = ops.shape(x)
        x = ops.transpose(x, (1, 2, 3, 0, 4, 5))
        x = ops.reshape(x, (batch, groups, shared, self.count * self.size, dim))
        return x[:, :, :, : self.length]

    def pad_keys(self, x: Tensor, axis: int = 2, fill: Any = 0) -> Tensor:
        """Makes room for the first block's window and the last one's padding.

        Without a window there is nothing to make room for.
        """
        if self.window is None:
            return x
        pads = [(0, 0)] * len(x.shape)
        behind = self.count * self.size - self.length
        pads[axis] = (self.window - 1, behind)
        return ops.pad(x, pads, constant_values=fill)

    def unpad_keys(self, x: Tensor) -> Tensor:
        """Undoes `pad_keys` on (B, K, S, D)."""
        if self.window is None:
            return x
        start = self.window - 1
        return x[:, :, start : start + self.length]

    def keys_of(
        self, x: Tensor, index: Tensor, span: int, axis: int = 2
    ) -> Tensor:
        """Takes the `span` keys that block `index` sees from padded keys."""
        start = [0] * len(x.shape)
        start[axis] = 0 if self.window is None else index * self.size
        shape = list(ops.shape(x))
        shape[axis] = span
        return ops.slice(x, ops.stack(start), shape)

    def add_to_keys(self, total: Tensor, index: Tensor, part: Tensor) -> Tensor:
        """Adds (B, K, span, D) to the padded keys it belongs to."""
        part = ops.cast(part, total.dtype)
        if self.window is None:
            rest = total.shape[2] - part.shape[2]
            return total + ops.pad(part, [(0, 0), (0, 0), (0, rest), (0, 0)])
        start = ops.stack([0, 0, index * self.size, 0])
        part = part + ops.slice(total, start, ops.shape(part))
        return ops.slice_update(total, start, part)

    def mask_and_bias(
        self, index: Tensor, span: int
    ) -> tuple[Tensor | None, Tensor | None]:
        """Returns what hides and biases block `index`, grouped by heads."""
        whole = self.visibility

        def keys(x: Tensor | None, fill: Any) -> Tensor | None:
            if x is None:
                return None
            return self.keys_of(self.pad_keys(x, 1, fill), index, span, axis=1)

        part = Visibility(
            self._queries_of(whole.query_positions, index, axis=1),
            keys(whole.key_positions, fill=NO_KEY),
            causal=whole.causal,
            window=whole.window,
            padding_mask=keys(whole.padding_mask, fill=False),
            query_segments=self._queries_of(
                whole.query_segments, index, axis=1
            ),
            key_segments=keys(whole.key_segments, fill=-1),
            attention_mask=self._mask_of(index, span),
        )
        bias = self.bias(part.query_positions, part.key_positions)
        return (
            group_scores(part.mask(), self.num_groups),
            group_scores(bias, self.num_groups),
        )

    def _mask_of(self, index: Tensor, span: int) -> Tensor | None:
        mask = self._queries_of(self.visibility.attention_mask, index, axis=2)
        if mask is None:
            return None
        return self.keys_of(self.pad_keys(mask, 3, False), index, span, axis=3)

    def _queries_of(
        self, x: Tensor | None, index: Tensor, axis: int
    ) -> Tensor | None:
        if x is None:
            return None
        x = self._pad_queries(x, axis)
        start = [0] * len(x.shape)
        start[axis] = index * self.size
        shape = list(ops.shape(x))
        shape[axis] = self.size
        return ops.slice(x, ops.stack(start), shape)

    def _pad_queries(self, x: Tensor, axis: int) -> Tensor:
        pads = [(0, 0)] * len(x.shape)
        pads[axis] = (0, self.count * self.size - self.length)
        return ops.pad(x, pads)
