"""The encoder-decoder Transformer."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel import layers, models

SOURCE = np.array([[3, 4, 5, 0, 0], [6, 7, 8, 9, 10]])
TARGET = np.array([[1, 2, 3], [1, 3, 5]])
SIZES = (11, 13, 17, 1, 2, 8)


def build(*sizes, **options):
    return models.encoder_decoder(*(sizes or SIZES), **options)


def run(model, source=SOURCE, target=TARGET):
    inputs = {
        "source_ids": ops.array(source),
        "target_ids": ops.array(target),
    }
    return ops.convert_to_numpy(model(inputs))


@pytest.mark.parametrize(
    "position_encoding",
    [
        "sinusoidal",
        "learned",
        "rotary",
        "alibi",
        "relative",
        None,
        layers.LearnedPositionEncoding(17, offset=2),
    ],
    ids=str,
)
def test_any_position_encoding(position_encoding):
    model = build(position_encoding=position_encoding)
    tables = [path for path in paths(model) if "position" in path]
    trained = position_encoding in ("learned", "relative") or isinstance(
        position_encoding, layers.PositionEncoding
    )
    assert len(tables) == (2 if trained else 0)
    assert np.isfinite(run(model)).all()


def paths(model):
    return [weight.path for weight in model.weights]


def test_padding_of_the_source_changes_nothing():
    model = build(pad_id=0)
    alone = run(model, SOURCE[:1, :3], TARGET[:1])
    np.testing.assert_allclose(run(model)[:1], alone, atol=1e-5)
    unmasked = run(build(), SOURCE, TARGET)
    assert np.isfinite(unmasked).all()


def test_targets_see_their_past_alone():
    model = build()
    changed = TARGET.copy()
    changed[:, 2] = 7
    before, after = run(model), run(model, target=changed)
    np.testing.assert_array_equal(before[:, :2], after[:, :2])
    assert np.abs(before[:, 2] - after[:, 2]).max() > 1e-5


def test_every_target_token_sees_the_whole_source():
    model = build(scale_embeddings=7.0)
    changed = SOURCE.copy()
    changed[:, 4] = 3
    difference = np.abs(run(model, changed) - run(model)).max(-1)
    assert (difference > 1e-6).all()


@pytest.mark.parametrize(
    ("options", "tables"),
    [
        ({}, ["source_embedding", "target_embedding"]),
        (
            {"tie_embeddings": False},
            ["output_projection", "source_embedding", "target_embedding"],
        ),
        ({"share_embeddings": True}, ["token_embedding"]),
        (
            {"share_embeddings": True, "tie_embeddings": False},
            ["output_projection", "token_embedding"],
        ),
    ],
)
def test_tables_are_shared_as_asked(options, tables):
    model = build(13, 13, 17, 1, 2, 8, **options)
    found = [
        path.split("/")[0] for path in paths(model) if "/embeddings" in path
    ]
    assert sorted(found) == tables


def test_options_reach_the_layers():
    model = build(
        num_decoder_layers=2,
        normalize_embeddings=True,
        output_bias=True,
        dropout=0.1,
        activation="silu",
        gated=True,
    )
    names = [layer.name for layer in model.layers]
    for name in (
        "encoder_embedding_normalization",
        "decoder_embedding_normalization",
        "encoder_normalization",
        "decoder_normalization",
        "encoder_dropout",
        "output_bias",
        "decoder_block_1",
    ):
        assert name in names
    assert "encoder_block_1" not in names
    assert model.get_layer("decoder_block_0").feed_forward.gated


def test_normalizations_of_the_paper():
    model = build(normalize_first=False)
    names = [layer.name for layer in model.layers]
    assert not any(name.endswith("normalization") for name in names)


def test_base_model_of_the_paper_has_its_parameters():
    # 37,000 shared tokens, 6 + 6 layers, 512 wide: table 3 says 65 million.
    count = models.count_parameters(
        models.encoder_decoder,
        *(37000, 37000, 512, 6, 8, 512, 2048),
        share_embeddings=True,
        normalize_first=False,
    )
    attention, feed_forward = 4 * (512 * 512 + 512), 2 * 512 * 2048 + 2560
    norm = 2 * 512
    encoder = 6 * (attention + feed_forward + 2 * norm)
    decoder = 6 * (2 * attention + feed_forward + 3 * norm)
    assert count == 37000 * 512 + encoder + decoder


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((11, 13, 17, 0, 2, 8), {}, "Received: num_layers=0"),
        ((11, 13, 17, 1, 3, 8), {}, "num_heads=3, hidden_dim=8"),
        (SIZES, {"num_decoder_layers": 0}, "num_decoder_layers=0"),
        (SIZES, {"share_embeddings": True}, "share_embeddings=True"),
        (SIZES, {"position_encoding": "rope"}, "position_encoding='rope'"),
        (SIZES, {"normalization": "batch"}, "normalization='batch'"),
        (SIZES, {"activation": "swish"}, "activation='swish'"),
    ],
)
def test_bad_arguments_are_refused(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        build(*sizes, **options)


def test_longer_texts_than_the_model_is_for_are_refused():
    with pytest.raises(ValueError, match="max_sequence_length=4"):
        run(build(11, 13, 4, 1, 2, 8))


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="hidden_size"):
        build(hidden_size=8)


def test_inputs_are_named():
    model = build()
    assert sorted(model.input) == ["source_ids", "target_ids"]
    assert isinstance(model, keras.Model)
