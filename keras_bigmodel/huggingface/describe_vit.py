"""From a Vision Transformer back to its builder's arguments."""

from typing import Any

import keras
import numpy as np

from keras_bigmodel import layers
from keras_bigmodel.huggingface import describe_parts as parts


def describe_vit(model: keras.Model) -> dict[str, Any]:
    """Returns arguments of `vit_classifier` that make a model like this.

    Dropout is left out: it is how one trains, not what the model is.

    Raises:
        ValueError: If `vit_classifier` has not made the model.
    """
    found = {layer.name: layer for layer in model.layers}
    patches = found.get("patch_embedding")
    if not isinstance(patches, layers.PatchEmbedding) or "logits" not in found:
        raise ValueError(
            "This is no model of `kbm.models.vit_classifier`. "
            f"Received: model={model.name!r}"
        )
    blocks = [
        layer
        for layer in model.layers
        if isinstance(layer, layers.EncoderBlock)
    ]
    scaling = found["scaling"]
    image_shape = tuple(model.input.shape[1:])
    return {
        **parts.describe_blocks(blocks, patches.hidden_dim),
        "image_shape": image_shape,
        "position_shape": patches.image_shape or image_shape[:2],
        "patch_size": patches.patch_size,
        "pooling": _pooling(found),
        "distillation_token": patches.distillation_token,
        "num_classes": found["logits"].units,
        "pixel_mean": np.ravel(scaling.mean).tolist(),
        "pixel_std": np.ravel(scaling.std).tolist(),
    }


def _pooling(found: dict[str, Any]) -> str:
    """Returns what the logits are made from."""
    if "mean_logits" in found:
        return "both"
    return "class" if found["pooled"].kind == "first" else "mean"
