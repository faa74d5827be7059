"""Every layer works in a Sequential and in a subclassed model, not only alone.

Functional models are what `check_layer` builds.
"""

import keras
import numpy as np
import pytest

from keras_bigmodel import layers
from keras_bigmodel.layers import DecodingScope
from tests.layer_case import to_numpy

FEATURES = (2, 5, 8)
IDS = (2, 5)
IMAGES = (2, 6, 6, 3)
CASES = {
    "SelfAttention": (lambda: layers.SelfAttention(2), FEATURES),
    "causal SelfAttention": (
        lambda: layers.SelfAttention(2, causal=True),
        FEATURES,
    ),
    "FeedForward": (lambda: layers.FeedForward(7), FEATURES),
    "MixtureOfExperts": (
        lambda: layers.MixtureOfExperts(3, 7, experts_per_token=2),
        FEATURES,
    ),
    "EncoderBlock": (lambda: layers.EncoderBlock(2, 7), FEATURES),
    "DecoderBlock": (lambda: layers.DecoderBlock(2, 7), FEATURES),
    "RMSNormalization": (lambda: layers.RMSNormalization(), FEATURES),
    "Bias": (lambda: layers.Bias(), FEATURES),
    "LearnedPositionEncoding": (
        lambda: layers.LearnedPositionEncoding(5),
        FEATURES,
    ),
    "SinusoidalPositionEncoding": (
        lambda: layers.SinusoidalPositionEncoding(),
        FEATURES,
    ),
    "SequencePooling": (lambda: layers.SequencePooling(), FEATURES),
    "PixelScaling": (lambda: layers.PixelScaling(), IMAGES),
    "LSTM": (lambda: layers.LSTM(3, return_sequences=True), FEATURES),
    "GRU": (lambda: layers.GRU(3, return_sequences=True), FEATURES),
    "TokenEmbedding": (lambda: layers.TokenEmbedding(11, 4), IDS),
    "ConvBlock": (lambda: layers.ConvBlock(5, 3), IMAGES),
    "PatchEmbedding": (lambda: layers.PatchEmbedding(3, 4), IMAGES),
}
STEPPED = ["causal SelfAttention", "DecoderBlock", "LSTM", "GRU"]


class Subclassed(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs)


def sequential(layer, inputs):
    shape = (inputs.shape[1] or None, *inputs.shape[2:])
    return keras.Sequential(
        [keras.Input(shape, dtype=str(inputs.dtype)), layer]
    )


def subclassed(layer, inputs):
    return Subclassed(layer)


every_kind = pytest.mark.parametrize("kind", [sequential, subclassed])


def inputs_of(shape):
    generator = np.random.default_rng(0)
    if shape == IDS:
        return generator.integers(11, size=shape).astype("int32")
    return generator.normal(size=shape).astype("float32")


@every_kind
@pytest.mark.parametrize("name", CASES)
def test_it_computes_and_trains_as_alone(name, kind):
    make, shape = CASES[name]
    layer, inputs = make(), inputs_of(shape)
    alone = to_numpy(layer(inputs))
    model = kind(layer, inputs)
    np.testing.assert_allclose(to_numpy(model(inputs)), alone, atol=1e-6)
    if not layer.trainable_weights:
        return
    before = [to_numpy(weight) for weight in layer.trainable_weights]
    model.compile("sgd", "mse", jit_compile=keras.config.backend() == "jax")
    model.fit(inputs, alone + 1, verbose=0)
    after = [to_numpy(weight) for weight in layer.trainable_weights]
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


@every_kind
@pytest.mark.parametrize("name", STEPPED)
def test_it_runs_in_steps(name, kind):
    make, shape = CASES[name]
    inputs = inputs_of(shape)
    # Steps have other lengths than the whole: the model's is left open.
    model = kind(make(), inputs[:, :0])
    whole = to_numpy(model(inputs))
    scope = DecodingScope(max_length=shape[1])
    for start, end in ((0, 3), (3, 4), (4, 5)):
        with scope:
            step = to_numpy(model(inputs[:, start:end]))
        np.testing.assert_allclose(step, whole[:, start:end], atol=1e-5)
