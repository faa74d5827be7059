"""From an encoder-decoder back to its builder's arguments."""

from typing import Any

import keras

from keras_bigmodel import layers
from keras_bigmodel.huggingface import describe_parts as parts


def describe_encoder_decoder(model: keras.Model) -> dict[str, Any]:
    """Returns arguments of `encoder_decoder` that make a model like this.

    Dropout is left out: it is how one trains, not what the model is.

    Raises:
        ValueError: If `encoder_decoder` has not made the model, or its two
            sides differ in more than their number of blocks.
    """
    found = {layer.name: layer for layer in model.layers}
    sides = {
        "encoder": layers.EncoderBlock,
        "decoder": layers.DecoderBlock,
    }
    blocks = {
        side: [layer for layer in model.layers if isinstance(layer, kind)]
        for side, kind in sides.items()
    }
    if not all(blocks.values()) or "context" not in found:
        raise ValueError(
            "This is no model of `kbm.models.encoder_decoder`. "
            f"Received: model={model.name!r}"
        )
    shared = found.get("token_embedding")
    source = shared or found["source_embedding"]
    target = shared or found["target_embedding"]
    output = found.get("output_projection", target)
    described = {
        side: parts.describe_blocks(blocks[side], source.hidden_dim)
        for side in sides
    }
    counts = {side: described[side].pop("num_layers") for side in sides}
    windows = [described[side].pop("sliding_window") for side in sides]
    parts.alike(list(described.values()), "encoder and decoder")
    cross = parts.describe_attention(
        blocks["decoder"][0].cross_attention, source.hidden_dim
    )
    return {
        **described["encoder"],
        "cross_attention": cross,
        "num_layers": counts["encoder"],
        "num_decoder_layers": counts["decoder"],
        "sliding_window": windows,
        "source_vocabulary_size": source.vocabulary_size,
        "target_vocabulary_size": target.vocabulary_size,
        "max_sequence_length": target.max_sequence_length,
        "share_embeddings": shared is not None,
        "tie_embeddings": output is target,
        "output_bias": "output_bias" in found,
        "normalize_embeddings": "encoder_embedding_normalization" in found,
        "position_encoding": [
            parts.describe_positions(
                found, f"{side}_position_encoding", blocks[side]
            )
            for side in sides
        ],
        "scale_embeddings": parts.describe_scale(target),
        "logit_soft_cap": output.logit_soft_cap,
        "pad_id": _pad_id(model),
    }


def _pad_id(model: keras.Model) -> int | None:
    """Returns the id that the encoder's mask hides."""
    for operation in model.operations:
        if operation.name.startswith("not_equal"):
            node = operation._inbound_nodes[0]
            return int(node.arguments.args[1])
    return None
