"""From an encoder, with or without a head, back to the arguments."""

from typing import Any

import keras

from keras_bigmodel import layers
from keras_bigmodel.huggingface import describe_parts as parts


def describe_encoder(model: keras.Model) -> dict[str, Any]:
    """Returns arguments of `encoder` and of a head that make this model.

    Dropout is left out: it is how one trains, not what the model is.

    Raises:
        ValueError: If these builders have not made the model.
    """
    found = {layer.name: layer for layer in model.layers}
    blocks = [
        layer
        for layer in model.layers
        if isinstance(layer, layers.EncoderBlock)
    ]
    embedding = found.get("token_embedding")
    if not blocks or "hidden_states" not in found or embedding is None:
        raise ValueError(
            "This is no model of `kbm.models.encoder`, nor of a head on it. "
            f"Received: model={model.name!r}"
        )
    hidden_dim = found["hidden_states"].output.shape[-1]
    segments = found.get("segment_embedding")
    positions = parts.describe_positions(found, "position_encoding", blocks)
    return {
        **parts.describe_blocks(blocks, hidden_dim),
        "vocabulary_size": embedding.vocabulary_size,
        "max_sequence_length": embedding.max_sequence_length,
        "embedding_dim": embedding.hidden_dim,
        "num_segments": segments.num_segments if segments else 0,
        "pooler": "pooler" in found,
        "position_encoding": positions,
        "position_offset": getattr(positions, "offset", 0),
        "normalize_embeddings": "embedding_normalization" in found,
        "scale_embeddings": parts.describe_scale(embedding),
        "pad_id": embedding.pad_id,
        **_head(model, found),
    }


def _head(model: keras.Model, found: dict[str, Any]) -> dict[str, Any]:
    head: dict[str, Any] = {"head": None, "num_classes": None}
    logits = found.get("logits")
    if logits is None:
        return head
    projection = found.get("head_projection")
    if projection is not None:
        head["head_activation"] = projection.activation.__name__
    shape = model.output.shape
    if isinstance(logits, layers.Bias):
        head["head"] = "masked_lm"
        return head
    if len(shape) == 2:
        head["head"] = "text_classifier"
    elif shape[1] == 2:
        head["head"] = "span_classifier"
    else:
        head["head"] = "token_classifier"
    return {**head, "num_classes": logits.units}
