"""Heads on an encoder."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel import models

TOKENS = np.array([[3, 4, 5, 0, 0], [6, 7, 8, 9, 10]])
HEADS = [
    models.masked_lm,
    lambda trunk: models.text_classifier(trunk, 3),
    lambda trunk: models.token_classifier(trunk, 3),
    models.span_classifier,
]
IDS = ["masked_lm", "text_classifier", "token_classifier", "span_classifier"]


def encoder(**options):
    return models.encoder(11, 17, 1, 2, 8, pad_id=0, **options)


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("head", HEADS, ids=IDS)
def test_heads_share_the_trunks_weights(head):
    trunk = encoder()
    model = head(trunk)
    own = {id(weight) for weight in model.weights}
    assert {id(weight) for weight in trunk.weights} <= own


@pytest.mark.parametrize("head", HEADS, ids=IDS)
def test_padding_changes_nothing(head):
    model = head(encoder())
    found, alone = numpy(model(TOKENS)), numpy(model(TOKENS[:1, :3]))
    if found.ndim == 3:
        found = found[..., :3] if found.shape[1] == 2 else found[:, :3]
    np.testing.assert_allclose(found[:1], alone, atol=1e-5)


@pytest.mark.parametrize("head", HEADS, ids=IDS)
def test_a_pretrained_model_from_a_file_takes_another_head(head, tmp_path):
    pretrained = models.masked_lm(encoder())
    pretrained.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    model = head(again)
    names = [layer.name for layer in model.layers]
    assert "head_normalization" not in names or head is models.masked_lm
    shared = [w for w in model.weights if "encoder_block" in w.path]
    assert all(any(w is other for other in again.weights) for w in shared)
    model.save(tmp_path / "tuned.keras")
    tuned = keras.models.load_model(tmp_path / "tuned.keras")
    np.testing.assert_array_equal(numpy(tuned(TOKENS)), numpy(model(TOKENS)))


def test_training_a_head_trains_the_trunk():
    trunk = encoder()
    before = numpy(trunk(TOKENS))
    model = models.text_classifier(trunk, 3, dropout=0.1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    eager = keras.backend.backend() == "tensorflow"
    model.compile(keras.optimizers.SGD(0.5), loss, run_eagerly=eager)
    model.train_on_batch(TOKENS, np.array([0, 2]))
    assert np.abs(numpy(trunk(TOKENS)) - before).max() > 1e-3


def test_masked_lm_ties_its_output():
    trunk = encoder(embedding_dim=6)
    model = models.masked_lm(trunk)
    head = 8 * 6 + 6 + 2 * 6 + 11  # Dense, normalisation, bias
    assert model.count_params() == trunk.count_params() + head
    assert model.output.shape == (None, None, 11)
    np.testing.assert_array_equal(numpy(model(TOKENS)._keras_mask), TOKENS != 0)


def test_pooling():
    with_pooler, without = encoder(pooler=True), encoder()

    def layer_names(trunk, **options):
        model = models.text_classifier(trunk, 3, **options)
        return [layer.name for layer in model.layers]

    assert "pooler" in layer_names(with_pooler)
    assert "pooler" not in layer_names(with_pooler, pooling="mean")
    assert "pooling" in layer_names(without)
    first = models.text_classifier(without, 3, pooling="first")
    assert first.get_layer("pooling").kind == "first"
    with pytest.raises(ValueError, match='Received: pooling="pooler"'):
        models.text_classifier(without, 3, pooling="pooler")
    with pytest.raises(ValueError, match="Received: pooling='max'"):
        models.text_classifier(without, 3, pooling="max")


def test_a_projection_before_the_logits():
    model = models.text_classifier(
        encoder(), 3, projection_activation="tanh", dropout=0.1
    )
    names = [layer.name for layer in model.layers]
    assert names[-5:] == [
        "pooling",
        "pooled_dropout",
        "head_projection",
        "head_dropout",
        "logits",
    ]


def test_spans_are_never_in_the_padding():
    logits = numpy(models.span_classifier(encoder())(TOKENS))
    assert logits.shape == (2, 2, 5)
    assert (logits[0, :, 3:] < -1e4).all()
    assert (np.abs(logits[0, :, :3]) < 1e2).all()
    plain = models.encoder(11, 17, 1, 2, 8)
    logits = numpy(models.span_classifier(plain, dropout=0.1)(TOKENS))
    assert (np.abs(logits) < 1e2).all()


def no_encoders():
    image = models.vit_classifier((8, 8, 3), 5, 4, 1, 2, 8)
    return {
        "decoder": models.decoder_lm(11, 17, 1, 2, 8),
        "translation": models.encoder_decoder(11, 11, 17, 1, 2, 8),
        "image": image,
        "layer": keras.layers.Dense(3),
        "nothing": None,
    }


@pytest.mark.parametrize("head", HEADS, ids=IDS)
@pytest.mark.parametrize("kind", sorted(no_encoders()))
def test_trunks_of_another_kind_are_refused(head, kind):
    with pytest.raises(ValueError, match=r"`kbm.models.encoder`.*Received: tr"):
        head(no_encoders()[kind])


@pytest.mark.parametrize(
    "head", [models.text_classifier, models.token_classifier]
)
def test_there_must_be_classes(head):
    with pytest.raises(ValueError, match="Received: num_classes=0"):
        head(encoder(), 0)
