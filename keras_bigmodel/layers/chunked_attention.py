"""Exact attention whose memory grows linearly with the sequence.

The queries are taken a block at a time; the backward pass computes each
block's probabilities again instead of keeping them. Axes as in dot_product.py.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_bigmodel.layers.attention_blocks import AttentionBlocks
from keras_bigmodel.layers.dot_product import (
    biased_scores,
    capped_products,
)
from keras_bigmodel.layers.masks import Visibility

Tensor = Any

# From this many queries on, the plain path's (T, S) scores outweigh the cost
# of computing them twice.
CHUNKED_FROM = 2048
BLOCK_SIZE = 256


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
    if length is None or keys is None:
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
    in_order: bool = False,
    block_size: int = BLOCK_SIZE,
) -> Tensor:
    """Computes `attend` block by block, forward and backward.

    Needs memory for (block_size, S) scores at a time; with a causal sliding
    window over the queries' own sequence for (block_size, block_size + window
    - 1) only, and as much less time.

    Args:
        query: Scaled queries, (B, K, G, T, D); T is known.
        key: (B, K, S, D); S is known.
        value: (B, K, S, D).
        visibility: What each query may see.
        bias: From query and key positions to what is added to the scores,
            (1 or B, H, T, S); without trainable weights.
        soft_cap: c in c tanh(scores / c).
        aligned: Whether query t and key t are the same token.
        in_order: Whether, moreover, keys after a query are hidden from it, so
            that they need not be computed.
        block_size: Queries a block.

    Returns:
        (B, K, G, T, D).

    References:
        Rabe & Staats 2021, "Self-attention Does Not Need O(n^2) Memory",
        sections 2 and 3; blocks over the queries only, each with a whole row
        of scores, so that the softmax is the plain one. Dao et al. 2022,
        "FlashAttention", appendix B.2, for the backward pass.
    """
    blocks = AttentionBlocks(
        visibility,
        bias,
        size=block_size,
        num_groups=key.shape[1],
        num_queries=query.shape[3],
        num_keys=key.shape[2],
        aligned=aligned,
        in_order=in_order,
    )

    @ops.custom_gradient
    def attend_blocks(query, key, value):
        output = _forward(blocks, soft_cap, query, key, value)

        def gradient(*arguments, upstream=None):
            if upstream is None:
                (upstream,) = arguments
            return _backward(
                blocks, soft_cap, query, key, value, output, upstream
            )

        return output, gradient

    return attend_blocks(query, key, value)


def _forward(blocks, soft_cap, query, key, value):
    keys, values = blocks.pad_keys(key), blocks.pad_keys(value)

    def step(index, span, outputs):
        seen_keys = blocks.keys_of(keys, index, span)
        seen_values = blocks.keys_of(values, index, span)
        block = ops.take(outputs, index, axis=0)
        probabilities, _ = _probabilities(
            blocks, soft_cap, block, seen_keys, index, span
        )
        output = ops.einsum(
            "bkgts,bksd->bkgtd",
            ops.cast(probabilities, value.dtype),
            seen_values,
        )
        return (_put(outputs, index, output),)

    # A block's output takes the place of its queries, on which all else in the
    # next iteration waits: TensorFlow would begin what it can of ten iterations
    # at once, and hold the scores of all.
    (outputs,) = _loop(blocks, step, (blocks.split(query),))
    return blocks.join(outputs)


def _backward(blocks, soft_cap, query, key, value, output, upstream):
    keys, values = blocks.pad_keys(key), blocks.pad_keys(value)
    upstreams = blocks.split(upstream)
    # What the softmax takes off each gradient is the sum of probabilities
    # times gradients of a row, and so of outputs times their gradients.
    means = ops.cast(output, "float32") * ops.cast(upstream, "float32")
    means = blocks.split(ops.sum(means, axis=-1, keepdims=True))

    def step(index, span, gradients, key_gradient, value_gradient):
        seen_keys = blocks.keys_of(keys, index, span)
        seen_values = blocks.keys_of(values, index, span)
        block = ops.take(gradients, index, axis=0)
        upstream = _after(ops.take(upstreams, index, axis=0), block)
        p, slope = _probabilities(
            blocks, soft_cap, block, seen_keys, index, span
        )
        to_value = ops.einsum(
            "bkgts,bkgtd->bksd", ops.cast(p, value.dtype), upstream
        )
        to_p = ops.einsum("bkgtd,bksd->bkgts", upstream, seen_values)
        to_scores = ops.cast(to_p, "float32") - ops.take(means, index, axis=0)
        to_scores = to_scores * p
        if slope is not None:
            to_scores = to_scores * slope
        to_scores = ops.cast(to_scores, query.dtype)
        to_query = ops.einsum("bkgts,bksd->bkgtd", to_scores, seen_keys)
        to_key = ops.einsum("bkgts,bkgtd->bksd", to_scores, block)
        sums = (
            blocks.add_to_keys(key_gradient, index, to_key),
            blocks.add_to_keys(value_gradient, index, to_value),
        )
        return _put(gradients, index, _after(to_query, *sums)), *sums

    zeros = ops.zeros_like(keys), ops.zeros_like(values)
    gradients, *others = _loop(blocks, step, (blocks.split(query), *zeros))
    return blocks.join(gradients), *map(blocks.unpad_keys, others)


def _probabilities(blocks, soft_cap, query, key, index, span):
    """Returns a block's probabilities and the slope of the cap, float32."""
    mask, bias = blocks.mask_and_bias(index, span)
    scores = capped_products(query, key, soft_cap)
    slope = None
    if soft_cap is not None:
        slope = 1.0 - ops.square(scores / soft_cap)
    scores = biased_scores(scores, mask, bias)
    probabilities = ops.softmax(scores, axis=-1)
    if blocks.may_hide_everything:
        probabilities = ops.where(mask, probabilities, 0.0)
    return probabilities, slope


def _put(buffer, index, block):
    block = ops.cast(block, buffer.dtype)
    where = ops.reshape(index, (1, 1))
    return ops.scatter_update(buffer, where, block[None])


def _after(x, *others):
    """Returns x, but not before the others are computed."""
    flat = [ops.reshape(part, (-1,)) for part in (x, *others)]
    joined = ops.concatenate([flat[0], *(part[:1] for part in flat[1:])])
    return ops.reshape(joined[: -len(others)], ops.shape(x))


def _loop(blocks, step, carries):
    """Takes `step` with each block in turn."""
    branches = [
        lambda index, *carries, span=span: step(index, span, *carries)
        for span in blocks.spans
    ]

    def body(index, *carries):
        if len(branches) == 1:
            return index + 1, *branches[0](index, *carries)
        which = blocks.span_of(index)
        return index + 1, *ops.switch(which, branches, index, *carries)

    start = ops.convert_to_tensor(0, "int32")
    return ops.while_loop(
        lambda index, *_: index < blocks.count, body, (start, *carries)
    )[1:]
