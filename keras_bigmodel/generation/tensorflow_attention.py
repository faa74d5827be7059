"""Attention of a few queries to the keys of a cache.

TensorFlow's operations for it are made for many queries. For a single one
oneDNN's take longer to begin than to finish: smaller ones keep to a core, and
products are done side by side in a few parts. Axes as in dot_product.py, and R
for the heads of all rows.
"""

import math
from typing import Any

import tensorflow as tf

from keras_bigmodel.generation.tensorflow_parts import Lanes
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
    num_lanes: int | None = None,
) -> tf.Tensor:
    """Returns softmax(q k^T + bias) v, (B, K, G, T, D).

    Args:
        query: Scaled queries, (B, K, G, T, D), float32.
        key: (B, K, S, D).
        value: (B, K, S, D).
        mask: Booleans, (1 or B, 1 or K, 1 or G, T, S), True where visible.
        bias: Added to the scores, shaped like `mask`.
        soft_cap: c in c tanh(scores / c).
        num_lanes: Cores that parts are meant for; None: any number.
    """
    rows = tf.reshape(query, [-1, *query.shape[2:]])
    # Known before the caches are written, which a size of theirs is not.
    count = once_a_step(
        ("queries", *query.shape[1:4]), lambda: tf.shape(rows)[0]
    )
    key, value = (
        tf.reshape(x, [count, 1, -1, x.shape[3]]) for x in (key, value)
    )
    hidden = None
    if mask is not None:
        hidden = once_a_step(
            ("hidden", mask.ref(), *query.shape[1:3]),
            lambda: _by_rows(tf.where(mask, 0.0, HIDDEN), query),
        )
    if bias is not None:
        bias = _by_rows(bias, query)
    single = query.shape[3] == 1
    parts = math.gcd(query.shape[1], _PARTS) if single else 1
    lanes = Lanes(num_lanes)

    def product(x: tf.Tensor, y: tf.Tensor, adjoint_b: bool) -> tf.Tensor:
        if not single:
            return tf.linalg.matmul(x, y, adjoint_b=adjoint_b)
        # `tf.matmul` would become an operation of oneDNN's.
        return lanes.follow(
            lambda: tf.raw_ops.BatchMatMulV3(
                x=x, y=y, Tout=x.dtype, adj_y=adjoint_b
            )
        )

    def probabilities(scores: tf.Tensor, *added: tf.Tensor) -> tf.Tensor:
        if soft_cap is not None:
            scores = soft_cap * tf.tanh(scores / soft_cap)
        for addend in added:
            scores = scores + addend
        return _softmax(scores) if single else tf.nn.softmax(scores)

    # Parts of the first axis are no copies. All scores come before all values,
    # so that every lane has some of both.
    rows, key, value = (tf.split(x, parts) for x in (rows, key, value))
    scores = [product(*pair, True) for pair in zip(rows, key, strict=True)]
    found = map(
        probabilities,
        scores,
        *(_split(x, parts) for x in (bias, hidden) if x is not None),
    )
    found = [product(*pair, False) for pair in zip(found, value, strict=True)]
    return tf.reshape(tf.concat(found, 0), tf.shape(query))


def _split(added: tf.Tensor, parts: int) -> list[tf.Tensor]:
    """Returns what is added to the scores of some rows each."""
    if added.shape[0] == 1:
        return [added] * parts
    return once_a_step(
        ("parts", parts, added.ref()), lambda: tf.split(added, parts)
    )


def _softmax(scores: tf.Tensor) -> tf.Tensor:
    # oneDNN has no logarithm of it to put in the way.
    return tf.exp(tf.nn.log_softmax(scores))


def _by_rows(added: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
    """Returns what is added to the scores of each row, (1 or R, 1 or G, T, S).

    Args:
        added: (1 or B, 1 or K, 1 or G, T, S).
        query: (B, K, G, T, D).
    """
    if added.shape[0] == added.shape[1] == 1:
        return added[0]
    shape, slots = tf.shape(query), tf.shape(added)[-1]
    rows = tf.broadcast_to(added, tf.concat([shape[:4], slots[None]], 0))
    return tf.reshape(rows, [-1, *query.shape[2:4], slots])
