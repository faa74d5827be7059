"""What a language model costs: arithmetic, memory and energy, estimated."""

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import Any

import keras

from keras_bigmodel.layers import (
    PositionEncoding,
    SelfAttention,
    TokenEmbedding,
)
from keras_bigmodel.layers.mixture_of_experts import MixtureOfExperts

# Floating-point operations that one joule buys. A CPU core of a server does
# some 50 GFLOP/s in float32 at 5 W; an accelerator some 350 TFLOP/s of its
# bfloat16 peak at 700 W.
FLOPS_PER_JOULE = {"CPU": 1e10, "accelerator": 5e11}

# AdamW keeps the weight, its gradient and two moments.
_TRAINING_COPIES = 4


@dataclasses.dataclass(frozen=True)
class Costs:
    """Estimates for one model.

    Args:
        parameters: how many numbers are trained or loaded.
        weight_bytes: what they take in memory.
        active_parameters: how many of them each token is multiplied with.
        context: at which length the attention is counted, in tokens.
        flops_per_token: operations to predict one token at that length; a
            multiplication and an addition are two.
        cache_bytes_per_token: keys and values kept while generating.
        training_bytes: weights, gradients and AdamW's moments; activations
            come on top.
    """

    parameters: int
    weight_bytes: int
    active_parameters: int
    context: int
    flops_per_token: int
    cache_bytes_per_token: int
    training_bytes: int

    @property
    def training_flops_per_token(self) -> int:
        """The backward pass costs twice the forward pass."""
        return 3 * self.flops_per_token

    def joules(self, flops: float) -> dict[str, float]:
        """The energy of so many operations, by what computes them."""
        return {name: flops / rate for name, rate in FLOPS_PER_JOULE.items()}


def estimate(model: keras.Model, context: int) -> Costs:
    """Estimate a language model's costs from its layers and weights.

    Args:
        model: a built model of ours, or any model made from our layers.
        context: how many tokens the attention looks back on.
    """
    active = sum(count for _, count in _active_weights(model))
    attention, cache = 0, 0
    for layer in _layers(model):
        if isinstance(layer, SelfAttention):
            head_dim = layer.query_projection.units // layer.num_heads
            seen = min(context, layer.sliding_window or context)
            # Scores, then the weighted sum of the values.
            attention += 4 * seen * layer.num_heads * head_dim
            width = 2 * layer.num_key_value_heads * head_dim
            cache += width * _item_size(layer.compute_dtype)
    parameters = model.count_params()
    weight_bytes = sum(
        math.prod(w.shape) * _item_size(w.dtype) for w in model.weights
    )
    return Costs(
        parameters=parameters,
        weight_bytes=weight_bytes,
        active_parameters=active,
        context=context,
        flops_per_token=2 * active + attention,
        cache_bytes_per_token=cache,
        training_bytes=_TRAINING_COPIES * weight_bytes,
    )


def _active_weights(model: keras.Model) -> Iterator[tuple[str, int]]:
    """Each weight a token is multiplied with, and how much of it."""
    output = model.outputs[0]._keras_history.operation
    for layer in _layers(model):
        looked_up = isinstance(layer, TokenEmbedding) and layer is not output
        if looked_up or isinstance(layer, PositionEncoding):
            continue
        for weight in layer._trainable_variables:
            if len(weight.shape) < 2 or "bias" in weight.name:
                continue
            size = math.prod(weight.shape)
            if isinstance(layer, MixtureOfExperts) and len(weight.shape) == 3:
                size = size * layer.experts_per_token // layer.num_experts
            yield weight.path, size


def _layers(model: keras.Model) -> Iterator[Any]:
    return model._flatten_layers(include_self=False, recursive=True)


def _item_size(dtype: str) -> int:
    """Bytes of one number; the name ends in its bits."""
    return int(re.search(r"\d+", dtype).group()) // 8
