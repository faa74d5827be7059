"""Random numbers that belong to a row and a position, and to nothing else."""

from typing import Any

from keras import ops

Tensor = Any

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def uniforms(seeds: Tensor, counters: Tensor) -> Tensor:
    """Returns a number in [0, 1) for each seed and counter.

    The same seed and counter give the same number in any batch, on any
    device and with any backend.

    Args:
        seeds: int32, any shape.
        counters: int32, a shape that broadcasts with it.

    Returns:
        float32, with 24 random bits.

    References:
        Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3",
        section 3.3: Threefry-2x32 with 20 rounds, the seed as the key.
    """
    seeds = ops.cast(seeds, "uint32")
    counters = ops.cast(counters, "uint32")
    zeros = ops.zeros_like(seeds + counters)
    bits, _ = threefry((seeds, zeros), (counters, zeros))
    high = ops.cast(ops.right_shift(bits, _uint32(8)), "int32")
    return ops.cast(high, "float32") * 2.0**-24


def threefry(
    key: tuple[Tensor, Tensor], counter: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Returns two words of 32 bits for a key and a counter of two words.

    Args:
        key: Two uint32 tensors.
        counter: Two uint32 tensors.
    """
    k0, k1 = key
    parity = ops.bitwise_xor(ops.bitwise_xor(k0, k1), _uint32(_PARITY))
    keys = (k0, k1, parity)
    x0, x1 = counter[0] + k0, counter[1] + k1
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = ops.bitwise_xor(_rotate(x1, rotation), x0)
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + _uint32(group + 1)
    return x0, x1


def _rotate(x: Tensor, bits: int) -> Tensor:
    left = ops.left_shift(x, _uint32(bits))
    right = ops.right_shift(x, _uint32(32 - bits))
    return ops.bitwise_or(left, right)


def _uint32(value: int) -> Tensor:
    return ops.convert_to_tensor(value, "uint32")
