"""The blocks of a stack."""

import keras
import numpy as np
import pytest

from keras_bigmodel.models.blocks import Blocks
from keras_bigmodel.models.position_choice import PositionChoice

X = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")


def blocks(position_encoding=None, **options):
    positions = PositionChoice(
        position_encoding, max_sequence_length=7, num_heads=2, causal=True
    )
    return Blocks(
        positions=positions,
        num_layers=3,
        num_heads=2,
        intermediate_dim=11,
        **options,
    )


def test_arguments_reach_the_layers():
    block = blocks(
        "rotary",
        num_key_value_heads=1,
        head_dim=6,
        normalization="rms",
        epsilon=0.25,
        query_key_normalization="layer",
        activation="relu",
        gated=True,
        attention_bias=("query",),
        attention_scale=0.5,
        attention_soft_cap=7.0,
        use_sinks=True,
        sliding_window=(None, 3, 5),
        dropout=0.1,
        attention_dropout=0.2,
        drop_path=0.4,
    ).decoder_block(1)
    attention = block.self_attention
    assert block.name == "decoder_block_1"
    assert (attention.num_heads, attention.num_key_value_heads) == (2, 1)
    assert (attention.head_dim, attention.scale) == (6, 0.5)
    assert attention.causal and attention.sliding_window == 3
    assert attention.use_bias == ("query",)
    assert (attention.logit_soft_cap, attention.dropout) == (7.0, 0.2)
    assert attention.use_sinks
    assert type(attention.position_encoding).__name__.startswith("Rotary")
    assert isinstance(
        attention.query_normalization, keras.layers.LayerNormalization
    )
    assert (block.normalization, block.epsilon) == ("rms", 0.25)
    assert block.feed_forward.gated
    assert block.feed_forward.activation == "relu"
    assert block.dropout == 0.1
    assert block.drop_path == pytest.approx(0.2)


def test_cross_attention_has_the_arguments_of_attention():
    made = blocks(num_key_value_heads=1, use_bias=False)
    assert made.decoder_block(0).cross_attention is None
    cross = made.decoder_block(0, cross_attention=True).cross_attention
    assert (cross.num_heads, cross.num_key_value_heads) == (2, 1)
    assert cross.use_bias == ()


def test_encoder_blocks_look_both_ways():
    block = blocks().encoder_block(2)
    assert block.name == "encoder_block_2"
    assert not block.self_attention.causal
    changed = X.copy()
    changed[:, 4] *= -1
    assert np.abs(np.asarray(block(changed) - block(X))[:, 0]).max() > 1e-4


def test_where_a_last_normalization_is_needed():
    assert blocks().need_final_normalization
    assert not blocks(normalize_first=False).need_final_normalization
    sandwich = blocks(normalize_first=False, normalize_branch=True)
    assert sandwich.need_final_normalization
    assert sandwich.new_normalization("last").name == "last"
