"""The activations of feed-forward networks, by name."""

from collections.abc import Callable
from typing import Any

from keras import ops

Tensor = Any


def gelu(x: Tensor) -> Tensor:
    """Returns x Phi(x), Phi by the error function."""
    return ops.gelu(x, approximate=False)


def gelu_tanh(x: Tensor) -> Tensor:
    """Returns x Phi(x), Phi by the hyperbolic tangent, as GPT-2 does."""
    return ops.gelu(x, approximate=True)


def relu_squared(x: Tensor) -> Tensor:
    """Returns max(x, 0) squared."""
    return ops.square(ops.relu(x))


ACTIVATIONS = {
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "relu": ops.relu,
    "relu_squared": relu_squared,
    "silu": ops.silu,
}


def get(activation: str) -> Callable[[Tensor], Tensor]:
    """Returns the function of this name.

    Raises:
        ValueError: if there is none.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"`activation` must be one of {sorted(ACTIVATIONS)}. "
            f"Received: activation={activation!r}"
        )
    return ACTIVATIONS[activation]
