"""The boundary between a model's encoder and its decoder."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel import layers

SOURCE = np.array([[3, 4, 5, 0, 0], [6, 7, 8, 9, 10]])
TARGET = np.array([[1, 2, 0], [1, 3, 5]])


def shared_embedding_model(**more):
    """A user's model: one table in the encoder, the decoder and the output."""
    embedding = layers.TokenEmbedding(11, 8, pad_id=0, name="embedding")
    source_ids = keras.Input((None,), dtype="int32", name="source_ids")
    target_ids = keras.Input((None,), dtype="int32", name="target_ids")
    x = layers.EncoderBlock(2, 16, name="encoder_block")(embedding(source_ids))
    passed = layers.EncoderContext(name="boundary")(
        {"context": x, "context_mask": source_ids != 0}
    )
    y = layers.DecoderBlock(2, 16, cross_attention=True, name="decoder_block")(
        embedding(target_ids), **passed
    )
    logits = embedding(y, reverse=True)
    inputs = {"source_ids": source_ids, "target_ids": target_ids, **more}
    return keras.Model(inputs, logits, name="mine")


def run(model):
    return ops.convert_to_numpy(
        model({"source_ids": SOURCE, "target_ids": TARGET})
    )


def reloaded(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


@pytest.mark.parametrize("reload", [False, True])
def test_halves_give_what_the_whole_gives(tmp_path, reload):
    model = shared_embedding_model()
    whole = run(model)
    if reload:
        model = reloaded(model, tmp_path)
        np.testing.assert_array_equal(run(model), whole)
    encoder, decoder = layers.encoder_and_decoder(model)
    passed = encoder(ops.array(SOURCE))
    assert {name: x.shape[0] for name, x in passed.items()} == {
        "context": 2,
        "context_mask": 2,
    }
    halves = decoder({"target_ids": ops.array(TARGET), **passed})
    np.testing.assert_array_equal(halves, whole)
    assert encoder.name == "mine_encoder"
    assert decoder.name == "mine_decoder"


def test_halves_share_the_weights():
    model = shared_embedding_model()
    encoder, decoder = layers.encoder_and_decoder(model)
    of_model = {id(weight) for weight in model.weights}
    of_halves = {id(weight) for weight in encoder.weights + decoder.weights}
    assert of_halves == of_model


def test_decoder_runs_in_steps():
    model = shared_embedding_model()
    encoder, decoder = layers.encoder_and_decoder(model)
    passed = encoder(ops.array(SOURCE))
    scope = layers.DecodingScope(max_length=3)
    steps = []
    for index in range(3):
        step = ops.array(TARGET[:, index : index + 1])
        with scope:
            steps.append(decoder({"target_ids": step, **passed}))
    found = ops.convert_to_numpy(ops.concatenate(steps, axis=1))
    visible = TARGET != 0
    np.testing.assert_allclose(found[visible], run(model)[visible], atol=1e-5)


def test_models_without_the_boundary_are_refused():
    source_ids = keras.Input((None,), dtype="int32", name="source_ids")
    plain = keras.Model(source_ids, layers.TokenEmbedding(11, 8)(source_ids))
    with pytest.raises(ValueError, match="one `EncoderContext`.*Received: mod"):
        layers.encoder_and_decoder(plain)


def test_other_inputs_are_refused():
    x = keras.Input((3,), name="x")
    y = layers.EncoderContext()({"context": x})["context"]
    with pytest.raises(ValueError, match="`source_ids` and `target_ids`"):
        layers.encoder_and_decoder(keras.Model(x, y))
