"""From a decoder-only language model back to its builder's arguments."""

from typing import Any

import keras

from keras_bigmodel import layers
from keras_bigmodel.huggingface import describe_parts as parts


def describe_decoder(model: keras.Model) -> dict[str, Any]:
    """Returns arguments of `decoder_lm` that make a model like this.

    Dropout is left out: it is how one trains, not what the model is. What
    stands as a layer or its kind serves to compare models.

    Raises:
        ValueError: If `decoder_lm` has not made the model.
    """
    found = {layer.name: layer for layer in model.layers}
    blocks = [
        layer
        for layer in model.layers
        if isinstance(layer, layers.DecoderBlock)
    ]
    embedding = found.get("token_embedding")
    if not isinstance(embedding, layers.TokenEmbedding) or not blocks:
        raise ValueError(
            "This is no model of `kbm.models.decoder_lm`. "
            f"Received: model={model.name!r}"
        )
    output = found.get("output_projection", embedding)
    return {
        **parts.describe_blocks(blocks, embedding.hidden_dim),
        "vocabulary_size": embedding.vocabulary_size,
        "max_sequence_length": embedding.max_sequence_length,
        "position_encoding": parts.describe_positions(
            found, "position_encoding", blocks
        ),
        "final_normalization": parts.kind_of(found.get("final_normalization")),
        "normalize_embeddings": "embedding_normalization" in found,
        "scale_embeddings": parts.describe_scale(embedding),
        "tie_embeddings": output is embedding,
        "logit_soft_cap": output.logit_soft_cap,
        "pad_id": embedding.pad_id,
    }
