"""Exact attention whose memory grows linearly with the sequence.

The queries are taken a block at a time; the backward pass computes each
block's probabilities again instead of keeping them. Axes as in dot_product.py.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_bigmodel.layers.dot_product import (
    attention_scores,
    fused_kernels_available,
    group_scores,
)
from keras_bigmodel.layers.masks import NO_KEY, Visibility

Tensor = Any

# From this many queries on, the plain path's (T, S) scores outweigh the cost
# of computing them twice.
CHUNKED_FROM = 2048
BLOCK_SIZE = 512


def is_worthwhile(
    query: Tensor, key: Tensor, visibility: Visibility, aligned: bool
) -> bool:
    """Whether to go by blocks: long sequences, and windows far shorter.

    Args:
        query: (B, K, G, T, D).
        key: (B, K, S, D).
        visibility: What each query may see.
        aligned: Whether query t and key t are the same token.
    """
    length, keys = query.shape[3], key.shape[2]
    if fused_kernels_available() or length is None or keys is None:
        return False
    if length >= CHUNKED_FROM:
        return True
    window = visibility.window if visibility.causal and aligned else None
    return window is not None and length >= 2 * (window + BLOCK_SIZE)


def chunked_attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    visibility: Visibility,
    bias: Callable[[Tensor, Tensor], Tensor | None],
    *,
    soft_cap: float | None = None,
    aligned: bool = False,
    block_size: int = BLOCK_SIZE,
) -> Tensor:
    """Computes `attend` block by block, forward and backward.

    Needs memory for (block_size, S) scores at a time; with a causal sliding
    window over the queries' own sequence for (block_size, block_size + window
    - 1) only, and as much less time.

    Args:
        query: Scaled queries, (B, K, G, T, D).
        key: (B, K, S, D).
        value: (B, K, S, D).
        visibility: What each query may see.
        bias: From query and key positions to what is added to the scores,
            (1 or B, H, T, S); without trainable weights.
        soft_cap: c in c tanh(scores / c).
        aligned: Whether query t and key t are the same token.
        block_size: Queries a block.

    Returns:
        (B, K, G, T, D).

    References:
        Rabe & Staats 2021, "Self-attention Does Not Need O(n^2) Memory",
        sections 2 and 3; blocks over the queries only, each with a whole row
        of scores, so that the softmax is the plain one.
    """
    blocks = _Blocks(visibility, bias, soft_cap, block_size, key.shape[1])
    if not aligned:
        blocks.window = None

    @ops.custom_gradient
    def attend_blocks(query, key, value):
        output = _forward(blocks, query, key, value)

        def gradient(*arguments, upstream=None):
            if upstream is None:
                (upstream,) = arguments
            return _backward(blocks, query, key, value, upstream)

        return output, gradient

    return attend_blocks(query, key, value)


class _Blocks:
    """Cuts queries, keys and visibility into blocks, and joins them again."""

    def __init__(self, visibility, bias, soft_cap, block_size, num_groups):
        self.visibility = visibility
        self.bias = bias
        self.soft_cap = soft_cap
        self.size = block_size
        self.num_groups = num_groups
        self.length = ops.shape(visibility.query_positions)[1]
        self.count = -(-self.length // block_size)
        self.window = visibility.window if visibility.causal else None

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

    def pad_keys(self, x: Tensor, axis: int, fill: Any = 0) -> Tensor:
        """Makes room for the window before the first key.

        The room behind the last key is that of the last block's padding.
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

    def keys_of(self, x: Tensor, index: Tensor, axis: int) -> Tensor:
        """Takes the keys that block `index` can see from padded keys."""
        if self.window is None:
            return x
        start = [0] * len(x.shape)
        start[axis] = index * self.size
        shape = list(ops.shape(x))
        shape[axis] = self.size + self.window - 1
        return ops.slice(x, ops.stack(start), shape)

    def probabilities(self, query: Tensor, key: Tensor, index: Tensor):
        """Returns the probabilities of block `index`, float32."""
        part = self._visibility(index)
        mask = group_scores(part.mask(), self.num_groups)
        bias = self.bias(part.query_positions, part.key_positions)
        bias = group_scores(bias, self.num_groups)
        scores = attention_scores(query, key, mask, bias, self.soft_cap)
        probabilities = ops.softmax(scores, axis=-1)
        if part.may_hide_everything or self.window is not None:
            # Rows that only fill up the last block see nothing either.
            probabilities = ops.where(mask, probabilities, 0.0)
        return probabilities

    def _visibility(self, index: Tensor) -> Visibility:
        whole = self.visibility
        return Visibility(
            self._queries_of(whole.query_positions, index),
            self._keys(whole.key_positions, index, fill=NO_KEY),
            causal=whole.causal,
            window=whole.window,
            padding_mask=self._keys(whole.padding_mask, index, fill=False),
            query_segments=self._queries_of(whole.query_segments, index),
            key_segments=self._keys(whole.key_segments, index, fill=-1),
            attention_mask=self._mask_of(whole.attention_mask, index),
        )

    def _keys(self, x, index, fill):
        if x is None:
            return None
        return self.keys_of(self.pad_keys(x, 1, fill), index, axis=1)

    def _queries_of(self, x: Tensor | None, index: Tensor) -> Tensor | None:
        if x is None:
            return None
        x = self._pad_queries(x, axis=1)
        start = ops.stack([0, index * self.size])
        return ops.slice(x, start, (ops.shape(x)[0], self.size))

    def _mask_of(self, mask: Tensor | None, index: Tensor) -> Tensor | None:
        if mask is None:
            return None
        mask = self._pad_queries(mask, axis=2)
        batch, heads, _, keys = ops.shape(mask)
        start = ops.stack([0, 0, index * self.size, 0])
        mask = ops.slice(mask, start, (batch, heads, self.size, keys))
        return self._keys_of_mask(mask, index)

    def _keys_of_mask(self, mask, index):
        return self.keys_of(self.pad_keys(mask, 3, False), index, axis=3)

    def _pad_queries(self, x: Tensor, axis: int) -> Tensor:
        pads = [(0, 0)] * len(x.shape)
        pads[axis] = (0, self.count * self.size - self.length)
        return ops.pad(x, pads)


def _forward(blocks, query, key, value):
    queries = blocks.split(query)
    keys = blocks.pad_keys(key, axis=2)
    values = blocks.pad_keys(value, axis=2)

    def body(index, outputs):
        seen_keys = blocks.keys_of(keys, index, axis=2)
        seen_values = blocks.keys_of(values, index, axis=2)
        block = ops.take(queries, index, axis=0)
        probabilities = blocks.probabilities(block, seen_keys, index)
        output = ops.einsum(
            "bkgts,bksd->bkgtd",
            ops.cast(probabilities, value.dtype),
            seen_values,
        )
        return index + 1, _put(outputs, index, output)

    outputs = _loop(blocks.count, body, (ops.zeros_like(queries),))[0]
    return blocks.join(ops.cast(outputs, value.dtype))


def _backward(blocks, query, key, value, upstream):
    queries, upstreams = blocks.split(query), blocks.split(upstream)
    keys = blocks.pad_keys(key, axis=2)
    values = blocks.pad_keys(value, axis=2)

    def body(index, query_gradients, key_gradient, value_gradient):
        seen_keys = blocks.keys_of(keys, index, axis=2)
        seen_values = blocks.keys_of(values, index, axis=2)
        block = ops.take(queries, index, axis=0)
        upstream = ops.take(upstreams, index, axis=0)
        p = blocks.probabilities(block, seen_keys, index)
        to_value = ops.einsum(
            "bkgts,bkgtd->bksd", ops.cast(p, value.dtype), upstream
        )
        to_p = ops.einsum("bkgtd,bksd->bkgts", upstream, seen_values)
        to_p = ops.cast(to_p, "float32")
        to_scores = p * (to_p - ops.sum(p * to_p, axis=-1, keepdims=True))
        if blocks.soft_cap is not None:
            to_scores = to_scores * _soft_cap_slope(blocks, block, seen_keys)
        to_scores = ops.cast(to_scores, query.dtype)
        to_query = ops.einsum("bkgts,bksd->bkgtd", to_scores, seen_keys)
        to_key = ops.einsum("bkgts,bkgtd->bksd", to_scores, block)
        return (
            index + 1,
            _put(query_gradients, index, to_query),
            _accumulate(blocks, key_gradient, index, to_key),
            _accumulate(blocks, value_gradient, index, to_value),
        )

    gradients = _loop(
        blocks.count,
        body,
        (ops.zeros_like(queries), ops.zeros_like(keys), ops.zeros_like(values)),
    )
    return (
        blocks.join(gradients[0]),
        blocks.unpad_keys(gradients[1]),
        blocks.unpad_keys(gradients[2]),
    )


def _soft_cap_slope(blocks, query, key):
    """The derivative of c tanh(x / c), which is 1 - tanh(x / c)^2."""
    raw = attention_scores(query, key, None, None, None)
    return 1.0 - ops.square(ops.tanh(raw / blocks.soft_cap))


def _put(buffer, index, block):
    block = ops.cast(block, buffer.dtype)
    where = ops.reshape(index, (1, 1))
    return ops.scatter_update(buffer, where, block[None])


def _accumulate(blocks, total, index, part):
    part = ops.cast(part, total.dtype)
    if blocks.window is None:
        return total + part
    start = ops.stack([0, 0, index * blocks.size, 0])
    part = part + ops.slice(total, start, ops.shape(part))
    return ops.slice_update(total, start, part)


def _loop(count, body, carries):
    index = ops.convert_to_tensor(0, "int32")
    results = ops.while_loop(
        lambda index, *_: index < count, body, (index, *carries)
    )
    return results[1:]
