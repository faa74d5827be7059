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
    described = [
        {
            **parts.describe_attention(
                block.self_attention, embedding.hidden_dim
            ),
            **parts.describe_feed_forward(block.feed_forward),
            **parts.describe_block(block),
        }
        for block in blocks
    ]
    output = found.get("output_projection", embedding)
    return {
        **{
            option: parts.alike([one[option] for one in described], option)
            for option in described[0]
        },
        "vocabulary_size": embedding.vocabulary_size,
        "max_sequence_length": embedding.max_sequence_length,
        "num_layers": len(blocks),
        "hidden_dim": embedding.hidden_dim,
        "epsilon": _epsilon(blocks[0]),
        "position_encoding": _positions(found, blocks),
        "final_normalization": parts.kind_of(found.get("final_normalization")),
        "normalize_embeddings": "embedding_normalization" in found,
        "sliding_window": [
            block.self_attention.sliding_window for block in blocks
        ],
        "scale_embeddings": parts.describe_scale(embedding),
        "tie_embeddings": output is embedding,
        "logit_soft_cap": output.logit_soft_cap,
        "pad_id": embedding.pad_id,
    }


def _epsilon(block: layers.DecoderBlock) -> float:
    named = "self_attention_branch_normalization"
    layer = getattr(block, named, None) or block.self_attention_normalization
    return layer.epsilon


def _positions(found: dict[str, Any], blocks: list) -> Any:
    """Returns the encoding, or one for each block where they differ."""
    shared = found.get("position_encoding") or found.get("position_bias")
    if shared is not None:
        return shared
    encodings = [block.self_attention.position_encoding for block in blocks]
    kinds = [parts.kind_of(encoding) for encoding in encodings]
    same = all(kind == kinds[0] for kind in kinds)
    return encodings[0] if same else encodings
