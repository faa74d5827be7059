"""The encoder."""

import numpy as np
import pytest
from keras import ops

from keras_bigmodel import models

TOKENS = np.array([[3, 4, 5, 0, 0], [6, 7, 8, 9, 10]])
SIZES = (11, 17, 1, 2, 8)


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize(
    "position_encoding",
    ["rotary", "learned", "sinusoidal", "alibi", "relative", None],
)
def test_padding_changes_nothing(position_encoding):
    trunk = models.encoder(
        *SIZES, pad_id=0, position_encoding=position_encoding
    )
    alone = numpy(trunk(TOKENS[:1, :3]))
    np.testing.assert_allclose(numpy(trunk(TOKENS))[:1, :3], alone, atol=1e-5)


def test_tokens_see_both_sides():
    trunk = models.encoder(*SIZES)
    changed = TOKENS.copy()
    changed[:, 2] = 1
    difference = np.abs(numpy(trunk(changed)) - numpy(trunk(TOKENS))).max(-1)
    assert (difference > 1e-6).all()


def test_segments_and_pooler():
    trunk = models.encoder(*SIZES, num_segments=2, pooler=True, pad_id=0)
    inputs = {
        "token_ids": ops.array(TOKENS),
        "segment_ids": ops.array([[0, 0, 1, 1, 1], [0, 0, 0, 1, 1]]),
    }
    found = trunk(inputs)
    assert found["hidden_states"].shape == (2, 5, 8)
    assert found["pooled"].shape == (2, 8)
    np.testing.assert_array_equal(
        numpy(found["hidden_states"]._keras_mask), TOKENS != 0
    )
    other = {**inputs, "segment_ids": ops.zeros((2, 5), "int32")}
    difference = numpy(trunk(other)["pooled"]) - numpy(found["pooled"])
    assert np.abs(difference).max() > 1e-6


def test_narrower_embeddings_are_widened():
    trunk = models.encoder(*SIZES, embedding_dim=6)
    assert trunk.get_layer("token_embedding").hidden_dim == 6
    assert trunk.get_layer("embedding_projection").units == 8
    assert trunk(TOKENS).shape == (2, 5, 8)


def test_options_reach_the_layers():
    trunk = models.encoder(
        *(11, 17, 2, 2, 8),
        normalize_embeddings=True,
        normalize_first=False,
        dropout=0.1,
        num_experts=3,
        sliding_window=(3, None),
    )
    names = [layer.name for layer in trunk.layers]
    assert "embedding_normalization" in names
    assert "final_normalization" not in names
    first, second = (
        trunk.get_layer(f"encoder_block_{index}") for index in range(2)
    )
    assert first.self_attention.sliding_window == 3
    assert second.self_attention.sliding_window is None
    assert first.feed_forward.num_experts == 3


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((11, 17, 0, 2, 8), {}, "Received: num_layers=0"),
        ((11, 17, 1, 3, 8), {}, "num_heads=3, hidden_dim=8"),
        (SIZES, {"embedding_dim": 0}, "Received: embedding_dim=0"),
        (SIZES, {"num_segments": -1}, "Received: num_segments=-1"),
        (SIZES, {"position_encoding": "rope"}, "position_encoding='rope'"),
        (SIZES, {"pad_id": 11}, "pad_id=11"),
        (SIZES, {"num_key_value_heads": 3}, "num_key_value_heads=3"),
    ],
)
def test_bad_arguments_are_refused(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        models.encoder(*sizes, **options)


def test_bad_inputs_are_refused():
    trunk = models.encoder(11, 4, 1, 2, 8)
    with pytest.raises(ValueError, match="max_sequence_length=4"):
        trunk(TOKENS)
