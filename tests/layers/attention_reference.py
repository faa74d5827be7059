"""Attention in float64 NumPy, one head, one query at a time."""

import numpy as np


def heads_of(x, weights, name, num_heads):
    """Returns x projected to heads, (B, T, heads, D)."""
    y = x @ weights[f"{name}/kernel"]
    if f"{name}/bias" in weights:
        y = y + weights[f"{name}/bias"]
    return y.reshape(*x.shape[:2], num_heads, -1)


def output_of(heads, weights):
    """Returns heads, (B, T, H, D), projected back."""
    y = heads.reshape(*heads.shape[:2], -1) @ weights["output/kernel"]
    return y + weights.get("output/bias", 0.0)


def probabilities(
    query, key, visible, scale=None, bias=None, soft_cap=None, sinks=None
):
    """Returns what each query gives each key, (B, H, T, S).

    query is (B, T, H, D), key (B, S, K, D); visible and bias broadcast to the
    scores.
    """
    batch, length, heads, dim = query.shape
    keys, groups = key.shape[1:3]
    scale = dim**-0.5 if scale is None else scale
    shape = (batch, heads, length, keys)
    visible = np.broadcast_to(visible, shape)
    bias = np.broadcast_to(0.0 if bias is None else bias, shape)
    found = np.zeros(shape)
    for b, h, t in np.ndindex(batch, heads, length):
        scores = scale * key[b, :, h // (heads // groups)] @ query[b, t, h]
        if soft_cap:
            scores = soft_cap * np.tanh(scores / soft_cap)
        scores = scores + bias[b, h, t]
        seen = visible[b, h, t]
        if seen.any():
            top = scores[seen].max()
            weights = np.where(seen, np.exp(scores - top), 0.0)
            sink = 0.0 if sinks is None else np.exp(sinks[h] - top)
            found[b, h, t] = weights / (weights.sum() + sink)
    return found


def attend(query, key, value, visible, **options):
    """Returns what each query gathers, (B, T, H, D)."""
    shares = probabilities(query, key, visible, **options)
    output = np.zeros((*query.shape[:3], value.shape[-1]))
    per_group = query.shape[2] // value.shape[2]
    for b, h, t in np.ndindex(shares.shape[:3]):
        output[b, t, h] = shares[b, h, t] @ value[b, :, h // per_group]
    return output


def self_attention(
    x,
    weights,
    num_heads,
    num_key_value_heads=None,
    visible=True,
    rotate=None,
    normalize=None,
    **options,
):
    """Returns the whole layer's output, (B, T, hidden_dim).

    rotate and normalize change the heads of queries and keys.
    """
    groups = num_key_value_heads or num_heads
    query = heads_of(x, weights, "query", num_heads)
    key = heads_of(x, weights, "key", groups)
    value = heads_of(x, weights, "value", groups)
    if normalize:
        query = normalize(query, "query")
        key = normalize(key, "key")
    if rotate:
        query, key = rotate(query), rotate(key)
    return output_of(attend(query, key, value, visible, **options), weights)


def causal(length):
    """Returns (T, T), True where the key is not later."""
    return np.tril(np.ones((length, length), "bool"))


def rotary(positions, base=10000.0):
    """Returns a function that turns heads at positions, (B or 1, T)."""

    def rotate(x):
        half = x.shape[-1] // 2
        angle = positions[..., None] * base ** (-np.arange(half) / half)
        cos, sin = np.cos(angle)[:, :, None], np.sin(angle)[:, :, None]
        first, second = x[..., :half], x[..., half:]
        return np.concatenate(
            [first * cos - second * sin, second * cos + first * sin], axis=-1
        )

    return rotate
