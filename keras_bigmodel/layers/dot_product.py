"""Scaled dot-product attention over grouped heads.

One legend for the axes: B batch, T query, S key, H query heads, K key/value
heads, G = H / K queries that share a key, D head_dim.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any

# Far below any score and still finite in float32, so that a row of nothing
# but hidden keys gives no NaN.
HIDDEN = -1e30
# A few queries, as in a step of generation, are done sooner the plain way.
FUSED_FROM = 64


def group_heads(
    x: Tensor, num_groups: int, transpose: Callable = ops.transpose
) -> Tensor:
    """Turns (B, T, H, D) into (B, K, G, T, D)."""
    heads, dim = x.shape[2:]
    shape = (num_groups, heads // num_groups)
    if x.shape[1] == 1:
        return ops.reshape(x, (-1, *shape, 1, dim))
    if heads == num_groups:
        return ops.expand_dims(transpose(x, (0, 2, 1, 3)), 2)
    x = ops.reshape(x, (*ops.shape(x)[:2], *shape, dim))
    return transpose(x, (0, 2, 3, 1, 4))


def ungroup_heads(x: Tensor, transpose: Callable = ops.transpose) -> Tensor:
    """Turns (B, K, G, T, D) into (B, T, H * D)."""
    _, groups, shared, length, dim = x.shape
    width = groups * shared * dim
    if length == 1:
        return ops.reshape(x, (-1, 1, width))
    x = transpose(x, (0, 3, 1, 2, 4))
    return ops.reshape(x, (*ops.shape(x)[:2], width))


def group_scores(x: Tensor | None, num_groups: int) -> Tensor | None:
    """Turns a mask or bias (B, 1 or H, T, S) into (B, 1 or K, 1 or G, T, S)."""
    if x is None:
        return None
    heads = x.shape[1]
    if heads == 1:
        return ops.expand_dims(x, 2)
    batch, _, *rest = ops.shape(x)
    return ops.reshape(x, (batch, num_groups, heads // num_groups, *rest))


def capped_products(
    query: Tensor, key: Tensor, soft_cap: float | None
) -> Tensor:
    """Returns queries times keys, (B, K, G, T, S), float32.

    Args:
        query: Scaled queries, (B, K, G, T, D).
        key: (B, K, S, D).
        soft_cap: c in c tanh(products / c), or None.
    """
    scores = ops.einsum("bkgtd,bksd->bkgts", query, key)
    scores = ops.cast(scores, "float32")
    if soft_cap is not None:
        scores = soft_cap * ops.tanh(scores / soft_cap)
    return scores


def biased_scores(
    scores: Tensor, mask: Tensor | None, bias: Tensor | None
) -> Tensor:
    """Returns the scores before the softmax, hidden ones far below.

    Args:
        scores: (B, K, G, T, S), float32.
        mask: Booleans that broadcast to the scores, or None.
        bias: float32 that broadcasts to the scores, or None.
    """
    if bias is not None:
        scores = scores + ops.cast(bias, "float32")
    if mask is not None:
        scores = ops.where(mask, scores, HIDDEN)
    return scores


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    soft_cap: float | None = None,
    sinks: Tensor | None = None,
    may_hide_everything: bool = False,
    dropout: Callable[[Tensor], Tensor] | None = None,
    record: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Computes softmax(q k^T + bias) v for grouped heads, the plain way.

    Args:
        query: Scaled queries, (B, K, G, T, D).
        key: (B, K, S, D).
        value: (B, K, S, D).
        mask: Booleans, (1 or B, 1 or K, 1 or G, T, S), True where visible.
        bias: Added to the scores, shaped like `mask`.
        soft_cap: c in c tanh(scores / c).
        sinks: A score per head for attending to nothing, (K, G).
        may_hide_everything: Whether a query may be left with no key; its
            output is then zero.
        dropout: Applied to the probabilities.
        record: Is shown the probabilities, (B, H, T, S).

    Returns:
        (B, K, G, T, D), in the values' dtype.

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1;
        Ainslie et al. 2023, "GQA", section 2.2, for the shared keys.
    """
    scores = capped_products(query, key, soft_cap)
    scores = biased_scores(scores, mask, bias)
    probabilities = _softmax(scores, sinks)
    if may_hide_everything and mask is not None:
        anything = ops.any(mask, axis=-1, keepdims=True)
        probabilities = ops.where(anything, probabilities, 0.0)
    if record is not None:
        batch, groups, shared, length, keys = ops.shape(probabilities)
        shape = (batch, groups * shared, length, keys)
        record(ops.reshape(probabilities, shape))
    probabilities = ops.cast(probabilities, value.dtype)
    if dropout is not None:
        probabilities = dropout(probabilities)
    return ops.einsum("bkgts,bksd->bkgtd", probabilities, value)


def attend_fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    causal: bool,
    may_hide_everything: bool,
) -> Tensor:
    """Computes `attend` with the fused kernels of Keras's JAX backend.

    Takes and returns the shapes of `attend`; `causal` stands for a mask by
    index, which `mask` may hold too. A mask takes two bytes for each query and
    key of a row.
    """
    batch, groups, shared, length, dim = ops.shape(query)
    heads = groups * shared
    joined_mask = None
    if mask is not None:
        alike = mask.shape[1] == mask.shape[2] == 1
        by_head = (1, 1) if alike else (groups, shared)
        pairs = length, key.shape[2]
        joined_mask = ops.reshape(
            ops.broadcast_to(mask, (mask.shape[0], *by_head, *pairs)),
            (mask.shape[0], 1 if alike else heads, *pairs),
        )
    output = ops.dot_product_attention(
        ops.transpose(
            ops.reshape(query, (batch, heads, length, dim)), (0, 2, 1, 3)
        ),
        ops.transpose(key, (0, 2, 1, 3)),
        ops.transpose(value, (0, 2, 1, 3)),
        mask=joined_mask,
        scale=1.0,
        is_causal=causal,
    )
    output = group_heads(output, groups)
    if may_hide_everything and mask is not None:
        anything = ops.any(mask, axis=-1, keepdims=True)
        output = ops.where(anything, output, ops.zeros_like(output))
    return output


def fuses(query: Tensor, masked: bool) -> bool:
    """Whether Keras's backend has a fused kernel for such heads, worth using.

    On GPUs cuDNN's, for 16-bit floats; on TPUs one without masks, for Keras
    would take the first row's mask for all rows.

    Args:
        query: (B, K, G, T, D).
        masked: Whether more than later tokens is hidden.
    """
    kind, (length, dim) = accelerator(), query.shape[3:]
    if kind is None or length < FUSED_FROM:
        return False
    if kind == "tpu":
        return not masked
    dtype = keras.backend.standardize_dtype(query.dtype)
    halves = dtype in ("float16", "bfloat16")
    return halves and dim % 8 == 0 and dim <= 128


@functools.cache
def accelerator() -> str | None:
    """Returns "gpu" or "tpu" where Keras runs on one with JAX."""
    if keras.config.backend() != "jax":
        return None
    devices = keras.distribution.list_devices()
    kinds = {name.partition(":")[0] for name in devices}
    return next((kind for kind in ("tpu", "gpu") if kind in kinds), None)


def _softmax(scores: Tensor, sinks: Tensor | None) -> Tensor:
    if sinks is None:
        if scores.shape[-1] == 1:
            # A single key takes all; Keras warns of such a softmax.
            return ops.ones_like(scores)
        return ops.softmax(scores, axis=-1)
    sinks = ops.cast(sinks, "float32")[None, :, :, None, None]
    sinks = ops.broadcast_to(sinks, (*ops.shape(scores)[:-1], 1))
    with_sink = ops.concatenate([scores, sinks], axis=-1)
    return ops.softmax(with_sink, axis=-1)[..., :-1]
