"""What the Transformer builders make of their arguments."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_bigmodel import layers


def check_sizes(**sizes: int | None) -> None:
    """Says which size is not a positive integer.

    Args:
        **sizes: Sizes by name; None is a default that the builder works out.

    Raises:
        ValueError: If a size is not a positive integer.
    """
    for name, size in sizes.items():
        if size is not None and (not isinstance(size, int) or size < 1):
            raise ValueError(
                f"`{name}` must be a positive integer. Received: {name}={size}"
            )


def windows_of_layers(
    sliding_window: int | Sequence[int | None] | None, num_layers: int
) -> list[int | None]:
    """Returns the sliding window of each layer.

    Args:
        sliding_window: One for all, or one entry a layer.
        num_layers: Number of layers.

    Raises:
        ValueError: If there are not as many entries as layers.
    """
    if sliding_window is None or isinstance(sliding_window, int):
        return [sliding_window] * num_layers
    if len(sliding_window) != num_layers:
        raise ValueError(
            "`sliding_window` must be a number, None, or one entry a layer. "
            f"Received: sliding_window={sliding_window}, "
            f"num_layers={num_layers}"
        )
    return list(sliding_window)


def new_normalization(
    kind: str | keras.layers.Layer | None, epsilon: float, dtype: Any, name: str
) -> keras.layers.Layer | None:
    """Returns a new normalisation layer, or None for None.

    Args:
        kind: "layer", "rms", a layer to be copied, or None.
        epsilon: Of the normalisation.
        dtype: Dtype policy.
        name: The layer's name.

    Raises:
        ValueError: If `kind` is another word.
    """
    if kind is None:
        return None
    return layers.block.new_normalization(kind, epsilon, dtype, name)


def new_feed_forward(
    intermediate_dim: int,
    *,
    num_experts: int | None,
    experts_per_token: int,
    **arguments: Any,
) -> keras.layers.Layer:
    """Returns a `FeedForward`, or a mixture of several.

    Args:
        intermediate_dim: Width of the network, or of each expert.
        num_experts: Experts of a mixture; None: no mixture.
        experts_per_token: Experts that each token is sent to.
        **arguments: What both layers take.
    """
    if num_experts is None:
        return layers.FeedForward(
            intermediate_dim, name="feed_forward", **arguments
        )
    return layers.MixtureOfExperts(
        num_experts,
        intermediate_dim,
        experts_per_token,
        name="feed_forward",
        **arguments,
    )
