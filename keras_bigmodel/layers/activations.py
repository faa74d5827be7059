"""The activations of feed-forward networks, by name."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any


def _relu_squared(x: Tensor) -> Tensor:
    return ops.square(ops.relu(x))


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "gelu_tanh": lambda x: ops.gelu(x, approximate=True),
    "relu": ops.relu,
    "relu_squared": _relu_squared,
    "silu": ops.silu,
    "tanh": keras.ops.tanh,
}


def get(name: str) -> Callable[[Tensor], Tensor]:
    """Returns an activation.

    Args:
        name: "gelu" (exact), "gelu_tanh" (its approximation), "relu",
            "relu_squared", "silu" or "tanh".

    Raises:
        ValueError: If there is none of that name.

    References:
        Hendrycks & Gimpel 2016, "Gaussian Error Linear Units", section 2; So
        et al. 2021, "Primer", section 3.1 (squared ReLU).
    """
    if name not in _ACTIVATIONS:
        raise ValueError(
            f"`activation` must be one of {sorted(_ACTIVATIONS)}. "
            f"Received: activation={name!r}"
        )
    return _ACTIVATIONS[name]
