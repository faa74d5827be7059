"""The decoder-only language model."""

import numpy as np
import pytest
from keras import ops

from keras_bigmodel import layers, models

TOKENS = np.array([[3, 4, 5, 6, 2], [6, 7, 8, 9, 10]])
SIZES = (11, 17, 2, 2, 8)


def run(model, tokens=TOKENS):
    return ops.convert_to_numpy(model(ops.array(tokens)))


@pytest.mark.parametrize(
    "position_encoding",
    [
        "rotary",
        "learned",
        "sinusoidal",
        "alibi",
        "relative",
        None,
        layers.LearnedPositionEncoding(17, offset=2),
    ],
    ids=str,
)
def test_tokens_see_their_past_alone(position_encoding):
    model = models.decoder_lm(*SIZES, position_encoding=position_encoding)
    changed = TOKENS.copy()
    changed[:, 3] = 1
    before, after = run(model), run(model, changed)
    np.testing.assert_allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert (np.abs(before - after)[:, 3:].max(-1) > 1e-5).all()
    repeated = run(model, np.full((1, 4), 3))[0]
    knows_places = np.abs(repeated[1] - repeated[3]).max() > 1e-6
    relative = position_encoding in ("rotary", "alibi", "relative", None)
    assert knows_places is not relative


def test_options_reach_the_layers():
    model = models.decoder_lm(
        *SIZES,
        head_dim=6,
        num_key_value_heads=1,
        normalization="rms",
        epsilon=0.25,
        normalize_branch=True,
        normalize_embeddings=True,
        query_key_normalization="rms",
        activation="silu",
        gated=True,
        attention_bias=("query",),
        attention_scale=0.5,
        attention_soft_cap=50.0,
        use_sinks=True,
        sliding_window=(3, None),
        num_experts=3,
        experts_per_token=1,
        dropout=0.1,
        attention_dropout=0.2,
        drop_path=0.3,
        scale_embeddings=True,
        tie_embeddings=False,
        logit_soft_cap=30.0,
        pad_id=0,
    )
    first, second = (
        model.get_layer(f"decoder_block_{index}") for index in range(2)
    )
    attention = first.self_attention
    assert attention.head_dim == 6 and attention.num_key_value_heads == 1
    assert attention.use_bias == ("query",) and attention.scale == 0.5
    assert attention.logit_soft_cap == 50 and attention.use_sinks
    assert attention.sliding_window == 3
    assert second.self_attention.sliding_window is None
    assert (first.drop_path, second.drop_path) == (0, 0.3)
    assert first.feed_forward.num_experts == 3
    assert model.get_layer("embedding_normalization").epsilon == 0.25
    assert model.get_layer("token_embedding").scale is True
    assert model.get_layer("token_embedding").pad_id == 0
    assert model.get_layer("output_projection").logit_soft_cap == 30
    assert np.isfinite(run(model)).all()


def test_parallel_branches():
    model = models.decoder_lm(*SIZES, parallel=True)
    assert model.get_layer("decoder_block_0").parallel
    assert np.isfinite(run(model)).all()


def test_packed_documents_do_not_see_each_other():
    model = models.decoder_lm(*SIZES, packed=True, position_encoding="learned")
    segments = np.array([[1, 1, 2, 2, 2], [1, 1, 1, 1, 2]])
    packed = ops.convert_to_numpy(
        model(
            {
                "token_ids": ops.array(TOKENS),
                "segment_ids": ops.array(segments),
            }
        )
    )
    alone = ops.convert_to_numpy(
        model(
            {
                "token_ids": ops.array(TOKENS[:1, 2:]),
                "segment_ids": ops.array(segments[:1, 2:]),
            }
        )
    )
    np.testing.assert_allclose(packed[:1, 2:], alone, atol=1e-5)


def test_padding_before_the_text_changes_nothing():
    model = models.decoder_lm(*SIZES, pad_id=0)
    padded = np.array([[0, 0, 3, 4, 5]])
    alone = run(model, np.array([[3, 4, 5]]))
    np.testing.assert_allclose(run(model, padded)[:, 2:], alone, atol=1e-5)


def test_soft_cap_of_the_logits():
    logits = run(models.decoder_lm(*SIZES, logit_soft_cap=0.01))
    assert np.abs(logits).max() <= 0.01


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((11, 17, 0, 2, 8), {}, "Received: num_layers=0"),
        ((11, 17, 1, 3, 8), {}, "num_heads=3, hidden_dim=8"),
        ((11, 17, 1, 2, 8, 0), {}, "Received: intermediate_dim=0"),
        ((11.0, 17, 1, 2, 8), {}, "Received: vocabulary_size=11.0"),
        (SIZES, {"num_key_value_heads": 3}, "num_key_value_heads=3"),
        (SIZES, {"position_encoding": "rope"}, "position_encoding='rope'"),
        (SIZES, {"normalization": "batch"}, "normalization='batch'"),
        (SIZES, {"activation": "swish"}, "activation='swish'"),
        (SIZES, {"sliding_window": (3,)}, "sliding_window="),
        (SIZES, {"parallel": True, "normalize_first": False}, "parallel=True"),
        (SIZES, {"pad_id": 11}, "pad_id=11"),
        (SIZES, {"num_experts": 2, "experts_per_token": 3}, "experts_per_tok"),
    ],
)
def test_bad_arguments_are_refused(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        models.decoder_lm(*sizes, **options)


def test_bad_inputs_are_refused():
    model = models.decoder_lm(11, 4, 1, 2, 8)
    with pytest.raises(ValueError, match="max_sequence_length=4"):
        model(TOKENS)


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="hidden_size"):
        models.decoder_lm(*SIZES, hidden_size=8)
