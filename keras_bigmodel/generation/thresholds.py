"""Which probabilities to keep, found without sorting the vocabulary."""

from collections.abc import Callable
from typing import Any

from keras import ops

Tensor = Any


def top_k_threshold(probabilities: Tensor, k: Tensor) -> Tensor:
    """Returns each row's k-th largest probability, (B, 1).

    Args:
        probabilities: float32, (B, V).
        k: int32, (B,); 0 or V and more give 0, which keeps everything.
    """
    k = ops.cast(k, "int32")[:, None]
    k = ops.where(k == 0, probabilities.shape[-1] + 1, k)

    def enough(kept: Tensor) -> Tensor:
        count = ops.sum(ops.cast(kept, "int32"), axis=-1, keepdims=True)
        return count >= k

    return _largest_threshold(probabilities, enough)


def top_p_threshold(probabilities: Tensor, p: Tensor) -> Tensor:
    """Returns the least probability of each row's nucleus, (B, 1).

    The nucleus holds the most probable tokens that together reach p; tokens
    as probable as its last one belong to it.

    Args:
        probabilities: float32, (B, V), sum 1.
        p: float32, (B,); 1 and more give 0, which keeps everything.

    References:
        Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration",
        section 3.1.
    """
    p = ops.cast(p, "float32")[:, None]
    p = ops.where(p >= 1.0, 2.0, p)

    def enough(kept: Tensor) -> Tensor:
        mass = ops.where(kept, probabilities, 0.0)
        return ops.sum(mass, axis=-1, keepdims=True) >= p

    return _largest_threshold(probabilities, enough)


def _largest_threshold(
    values: Tensor, enough: Callable[[Tensor], Tensor]
) -> Tensor:
    """Returns the largest t for which `enough(values >= t)`, else 0, (B, 1).

    The bits of floats that are not negative, read as integers, are in the
    order of the floats: t is found bit by bit, exactly.
    """
    bits = ops.view(values, "int32")
    start = ops.zeros_like(bits[:, :1])

    def try_bit(index: Tensor, threshold: Tensor) -> Tensor:
        bit = ops.left_shift(
            ops.convert_to_tensor(1, "int32"),
            ops.cast(30 - index, "int32"),
        )
        larger = ops.bitwise_or(threshold, bit)
        return ops.where(enough(bits >= larger), larger, threshold)

    return ops.view(ops.fori_loop(0, 31, try_bit, start), "float32")
