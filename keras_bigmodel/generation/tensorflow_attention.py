"""Attention of a few queries to the keys of a cache.

TensorFlow's operations for it are made for many queries. For a single one
oneDNN's take longer to begin than to finish: smaller ones keep to a core, and
are done side by side in a few parts. Axes as in dot_product.py, and R for the
heads of all rows in a part.
"""

import math
from typing import Any

import tensorflow as tf

from keras_bigmodel.layers.decoding import shared as once_a_step
from keras_bigmodel.layers.dot_product import HIDDEN

# Few enough to cost little, and enough that no part is shared out once more.
_PARTS = 4
# Of so many queries at most the scores are few.
_MOST_QUERIES = 16


def can_attend(query: tf.Tensor, options: dict[str, Any]) -> bool:
    """Tells whether `attend_to_cache` is for these queries.

    Args:
        query: (B, K, G, T, D).
        options: Those of `dot_product.attend`.
    """
    asked = ("sinks", "may_hide_everything", "dropout", "record")
    plain = not any(options.get(name) for name in asked)
    few = query.shape[3] is not None and query.shape[3] <= _MOST_QUERIES
    return plain and few and query.dtype == tf.float32


def attend_to_cache(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    mask: tf.Tensor | None,
    bias: tf.Tensor | None,
    soft_cap: float | None = None,
) -> tf.Tensor:
    """Returns softmax(q k^T + bias) v, (B, K, G, T, D).

    Args:
        query: Scaled queries, (B, K, G, T, D), float32.
        key: (B, K, S, D).
        value: (B, K, S, D).
        mask: Booleans, (1 or B, 1 or K, 1 or G, T, S), True where visible.
        bias: Added to the scores, shaped like `mask`.
        soft_cap: c in c tanh(scores / c).
    """
    single = query.shape[3] == 1
    parts = math.gcd(query.shape[1], _PARTS) if single else 1
    attend = _attend_once if single else _attend_a_few_times
    flat = [tf.reshape(query, [-1, *query.shape[2:]])]
    for x in (key, value):
        shape = [-1, 1, tf.shape(x)[2], x.shape[3]]
        flat.append(tf.reshape(x, shape))
    # Parts of the first axis are no copies.
    inputs = [tf.split(x, parts) for x in flat]
    added = []
    if bias is not None:
        added.append(_split(bias, query, parts))
    if mask is not None:
        added.append(
            once_a_step(
                ("hidden", mask.ref(), parts, *query.shape[1:3]),
                lambda: _split(tf.where(mask, 0.0, HIDDEN), query, parts),
            )
        )
    found = [
        attend(*part, soft_cap=soft_cap)
        for part in zip(*inputs, *added, strict=True)
    ]
    return tf.reshape(tf.concat(found, 0), tf.shape(query))


def _attend_once(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    *added: tf.Tensor,
    soft_cap: float | None,
) -> tf.Tensor:
    """Returns (R, G, 1, D).

    Args:
        query: (R, G, 1, D).
        key: (R, 1, S, D).
        value: (R, 1, S, D).
        *added: To the scores, (1 or R, 1 or G, 1, S) each.
        soft_cap: c in c tanh(scores / c).
    """
    scores = _with_added(_product(query, key, adj_y=True), added, soft_cap)
    powers = tf.exp(scores - tf.reduce_max(scores, -1, keepdims=True))
    probabilities = powers / tf.reduce_sum(powers, -1, keepdims=True)
    return _product(probabilities, value)


def _attend_a_few_times(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    *added: tf.Tensor,
    soft_cap: float | None,
) -> tf.Tensor:
    """Returns the same for several queries, (R, G, T, D)."""
    scores = tf.matmul(query, key, transpose_b=True)
    return tf.matmul(tf.nn.softmax(_with_added(scores, added, soft_cap)), value)


def _with_added(
    scores: tf.Tensor, added: tuple[tf.Tensor, ...], soft_cap: float | None
) -> tf.Tensor:
    if soft_cap is not None:
        scores = soft_cap * tf.tanh(scores / soft_cap)
    for addend in added:
        scores = scores + addend
    return scores


def _product(x: tf.Tensor, y: tf.Tensor, adj_y: bool = False) -> tf.Tensor:
    # `tf.matmul` would become an operation of oneDNN's.
    return tf.raw_ops.BatchMatMulV3(x=x, y=y, Tout=x.dtype, adj_y=adj_y)


def _split(added: tf.Tensor, query: tf.Tensor, parts: int) -> list[tf.Tensor]:
    """Returns for each part what is added to its scores, (1 or R, G, T, S).

    Args:
        added: (1 or B, 1 or K, 1 or G, T, S).
        query: (B, K, G, T, D).
        parts: Their number.
    """
    if added.shape[0] == added.shape[1] == 1:
        return [added[0]] * parts
    shape, slots = tf.shape(query), tf.shape(added)[-1]
    rows = tf.broadcast_to(added, tf.concat([shape[:4], slots[None]], 0))
    rows = tf.reshape(rows, [-1, *query.shape[2:4], slots])
    return tf.split(rows, parts)
