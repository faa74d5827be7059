"""The recurrent encoder-decoder."""

import numpy as np
import pytest
from keras import ops

from keras_bigmodel import models

SOURCE = np.array([[3, 4, 5, 0, 0], [6, 7, 8, 9, 10]])
TARGET = np.array([[1, 2, 3], [1, 3, 5]])
SIZES = (11, 13, 1, 8)


def run(model, source=SOURCE, target=TARGET):
    inputs = {
        "source_ids": ops.array(source),
        "target_ids": ops.array(target),
    }
    return ops.convert_to_numpy(model(inputs))


@pytest.mark.parametrize("attention", [False, True])
def test_padding_of_the_source_changes_nothing(attention):
    model = models.gru_seq2seq(*SIZES, attention=attention, pad_id=0)
    alone = run(model, SOURCE[:1, :3], TARGET[:1])
    np.testing.assert_allclose(run(model)[:1], alone, atol=1e-5)


@pytest.mark.parametrize("attention", [False, True])
def test_the_source_reaches_every_step_and_the_future_none(attention):
    model = models.gru_seq2seq(*SIZES, 6, attention)
    changed = SOURCE.copy()
    changed[:, 4] = 3
    difference = np.abs(run(model, changed) - run(model)).max(-1)
    assert (difference > 1e-7).all()
    changed = TARGET.copy()
    changed[:, 2] = 7
    np.testing.assert_array_equal(
        run(model)[:, :2], run(model, target=changed)[:, :2]
    )


def test_without_attention_the_last_states_are_all_that_passes():
    model = models.gru_seq2seq(11, 13, 2, 8, pad_id=0)
    names = {x.name for x in model.get_layer("context").output}
    assert names == {"state_0", "state_1"}


def test_options_reach_the_layers():
    model = models.gru_seq2seq(
        *(11, 11, 2, 8),
        attention=True,
        num_heads=2,
        share_embeddings=True,
        tie_embeddings=True,
        dropout=0.1,
    )
    names = {layer.name for layer in model.layers}
    assert {"token_embedding", "decoder_gru_1_dropout"} <= names
    assert "output_projection" not in names
    assert model.get_layer("cross_attention").num_heads == 2


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((11, 13, 0, 8), {}, "Received: num_layers=0"),
        ((11, 13, 1, 8), {"num_heads": 3, "attention": True}, "num_heads=3"),
        ((11, 13, 1, 8), {"share_embeddings": True}, "share_embeddings=True"),
        (
            (11, 13, 1, 8, 6),
            {"tie_embeddings": True},
            "embedding_dim=6, units=8",
        ),
    ],
)
def test_bad_arguments_are_refused(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        models.gru_seq2seq(*sizes, **options)
