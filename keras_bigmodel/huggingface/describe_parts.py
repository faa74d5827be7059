"""From layers back to the arguments that make them."""

import math
from typing import Any

import keras

from keras_bigmodel import layers


def describe_attention(
    attention: layers.SelfAttention, hidden_dim: int
) -> dict[str, Any]:
    """Returns the arguments of an attention, defaults worked out."""
    width = attention.head_dim or hidden_dim // attention.num_heads
    scale = attention.scale
    return {
        "num_heads": attention.num_heads,
        "head_dim": width,
        "num_key_value_heads": attention.num_key_value_heads,
        "query_key_normalization": kind_of(attention.query_normalization),
        "attention_bias": tuple(attention.use_bias),
        "attention_scale": width**-0.5 if scale is None else scale,
        "attention_soft_cap": attention.logit_soft_cap,
        "use_sinks": attention.use_sinks,
    }


def describe_feed_forward(layer: keras.layers.Layer) -> dict[str, Any]:
    """Returns the arguments of a feed-forward network or a mixture.

    Raises:
        ValueError: If it is neither.
    """
    mixture = hasattr(layer, "num_experts")
    if not mixture and not isinstance(layer, layers.FeedForward):
        raise ValueError(
            "A checkpoint's blocks have a FeedForward or a MixtureOfExperts. "
            f"Received: feed_forward={layer}"
        )
    return {
        "intermediate_dim": layer.intermediate_dim,
        "activation": layer.activation,
        "gated": layer.gated,
        "use_bias": layer.use_bias,
        "num_experts": layer.num_experts if mixture else None,
        "experts_per_token": layer.experts_per_token if mixture else 2,
    }


def describe_block(block: keras.layers.Layer) -> dict[str, Any]:
    """Returns how a block arranges its branches."""
    name = "self_attention_normalization"
    if block.normalize_branch:
        name = "self_attention_branch_normalization"
    return {
        "normalization": kind_of(getattr(block, name)),
        "normalize_first": block.normalize_first,
        "normalize_branch": block.normalize_branch,
        "parallel": block.parallel,
    }


def describe_blocks(
    blocks: list[keras.layers.Layer], hidden_dim: int
) -> dict[str, Any]:
    """Returns what the blocks of a stack have in common.

    Raises:
        ValueError: If they differ in what a checkpoint's do not.
    """
    described = [
        {
            **describe_attention(block.self_attention, hidden_dim),
            **describe_feed_forward(block.feed_forward),
            **describe_block(block),
        }
        for block in blocks
    ]
    name = "self_attention_normalization"
    if blocks[0].normalize_branch:
        name = "self_attention_branch_normalization"
    return {
        **{
            option: alike([one[option] for one in described], option)
            for option in described[0]
        },
        "num_layers": len(blocks),
        "hidden_dim": hidden_dim,
        "epsilon": getattr(blocks[0], name).epsilon,
        "sliding_window": [
            block.self_attention.sliding_window for block in blocks
        ],
    }


def describe_positions(
    found: dict[str, Any], name: str, blocks: list[keras.layers.Layer]
) -> Any:
    """Returns a stack's encoding, or one for each block where they differ.

    Args:
        found: The model's layers by name.
        name: The encoding's name where it acts outside the blocks.
        blocks: Of the stack.
    """
    if name in found:
        return found[name]
    if f"{name}_bias" in found:
        return found[f"{name}_bias"].encoding
    encodings = [block.self_attention.position_encoding for block in blocks]
    kinds = [kind_of(encoding) for encoding in encodings]
    same = all(kind == kinds[0] for kind in kinds)
    return encodings[0] if same else encodings


def describe_scale(embedding: layers.TokenEmbedding) -> float:
    """Returns the factor of the embeddings."""
    if embedding.scale is True:
        return math.sqrt(embedding.hidden_dim)
    return float(embedding.scale or 1.0)


def kind_of(layer: keras.layers.Layer | None) -> tuple | None:
    """Returns a layer's class and the settings that change what it computes."""
    if layer is None:
        return None
    config = layer.get_config()
    aside = ("name", "dtype", "trainable", "autocast")
    settings = sorted(
        (key, str(value))
        for key, value in config.items()
        if key not in aside and "izer" not in key and "constraint" not in key
    )
    return (type(layer).__name__, *settings)


def alike(values: list, option: str) -> Any:
    """Returns what all blocks have in common.

    Raises:
        ValueError: If they differ.
    """
    if any(value != values[0] for value in values):
        raise ValueError(
            f"The blocks of a checkpoint are alike. Received: {option}={values}"
        )
    return values[0]
