"""What a model costs: arithmetic, memory and energy, estimated."""

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import Any

import keras

from keras_bigmodel.layers import (
    CrossAttention,
    EncoderBlock,
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
        unit: what is counted: a "token"; a "pair" of a source and a target
            token, for encoder-decoders; or an "image".
        parameters: how many numbers are trained or loaded.
        weight_bytes: what they take in memory.
        active_parameters: how many of them each unit is multiplied with.
        context: at which length the attention is counted, in tokens; of an
            image, its patches.
        flops_per_unit: operations of the forward pass for one unit at that
            length; a multiplication and an addition are two.
        cache_bytes_per_unit: keys and values kept while generating.
        activation_bytes_per_unit: what goes into and comes out of matrix
            products, kept for the backward pass.
    """

    unit: str
    parameters: int
    weight_bytes: int
    active_parameters: int
    context: int
    flops_per_unit: int
    cache_bytes_per_unit: int
    activation_bytes_per_unit: int

    @property
    def training_flops_per_unit(self) -> int:
        """The backward pass costs twice the forward pass."""
        return 3 * self.flops_per_unit

    def training_bytes(self, batch_size: int) -> int:
        """Weights, gradients, AdamW's moments and activations."""
        units = batch_size * (1 if self.unit == "image" else self.context)
        return (
            _TRAINING_COPIES * self.weight_bytes
            + units * self.activation_bytes_per_unit
        )

    def serving_bytes(self, batch_size: int) -> int:
        """Weights, and the keys and values of a full context."""
        cached = batch_size * self.context * self.cache_bytes_per_unit
        return self.weight_bytes + cached

    def joules(self, flops: float) -> dict[str, float]:
        """The energy of so many operations, by what computes them."""
        return {name: flops / rate for name, rate in FLOPS_PER_JOULE.items()}


def estimate(model: keras.Model, context: int | None = None) -> Costs:
    """Estimate a model's costs from its layers and weights.

    Normalisations, activations and softmax are left out: they are few
    operations beside the matrix products.

    Args:
        model: a built model of ours, or any model made from our layers.
        context: how many tokens the attention looks back on; image models
            have their own.

    Raises:
        ValueError: if the model reads images of no certain size.
    """
    images = len(model.inputs[0].shape) == 4
    flops = active = cache = activations = 0
    for layer, positions, inside in _placed_layers(model, images):
        for shape in _matrices(layer):
            size = math.prod(shape)
            active += size
            flops += 2 * size * positions
            width = shape[-2] + shape[-1]
            item = _item_size(layer.compute_dtype)
            activations += width * positions * item
        if isinstance(layer, (SelfAttention, CrossAttention)):
            head_dim = layer.query_projection.units // layer.num_heads
            seen = positions if images else context
            window = getattr(layer, "sliding_window", None)
            # Scores, then the weighted sum of the values.
            per_query = 4 * min(seen, window or seen) * layer.num_heads
            flops += per_query * head_dim * positions
            if not images and not isinstance(inside, EncoderBlock):
                item = _item_size(layer.compute_dtype)
                cache += 2 * layer.num_key_value_heads * head_dim * item
    pairs = {tensor.name for tensor in model.inputs} >= {"source_ids"}
    return Costs(
        unit="image" if images else "pair" if pairs else "token",
        parameters=model.count_params(),
        weight_bytes=sum(
            math.prod(w.shape) * _item_size(w.dtype) for w in model.weights
        ),
        active_parameters=active,
        context=_num_patches(model) if images else context,
        flops_per_unit=flops,
        cache_bytes_per_unit=cache,
        activation_bytes_per_unit=activations,
    )


def _placed_layers(
    model: keras.Model, images: bool
) -> Iterator[tuple[Any, int, Any]]:
    """Each layer, how many places it is applied to, and what it is part of."""
    for outer in model.layers:
        positions = _positions(outer) if images else 1
        for layer in outer._flatten_layers(include_self=True, recursive=True):
            yield layer, positions, outer


def _positions(layer: keras.layers.Layer) -> int:
    sizes = layer.output.shape[1:-1]
    if None in sizes:
        raise ValueError(
            "How much a model computes depends on the size of its images: "
            f"build it for one. Received: {layer.name}'s output={sizes}"
        )
    return math.prod(sizes)


def _num_patches(model: keras.Model) -> int:
    blocks = [x for x in model.layers if isinstance(x, EncoderBlock)]
    return _positions(blocks[0]) if blocks else 1


def _matrices(layer: Any) -> Iterator[tuple[int, ...]]:
    """The shape of each matrix that a layer's inputs are multiplied with."""
    if isinstance(layer, PositionEncoding):
        return
    tables = not (isinstance(layer, TokenEmbedding) and _projects(layer))
    for weight in layer._trainable_variables:
        shape = tuple(weight.shape)
        if len(shape) < 2 or "bias" in weight.name:
            continue
        if tables and re.search("embeddings?$", weight.name):
            continue
        if isinstance(layer, MixtureOfExperts) and len(shape) == 3:
            shape = (shape[1] * layer.experts_per_token, shape[2])
        yield shape


def _projects(layer: TokenEmbedding) -> bool:
    """Whether a table makes logits too: its input is then no ids."""
    return any(
        "int" not in node.input_tensors[0].dtype
        for node in layer._inbound_nodes
    )


def _item_size(dtype: str) -> int:
    """Bytes of one number; the name ends in its bits."""
    return int(re.search(r"\d+", dtype).group()) // 8
