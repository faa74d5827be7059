"""8-bit weights."""

import keras
import numpy as np
import pytest

import keras_bigmodel as kbm

pytestmark = pytest.mark.tensorflow

IDS = np.random.default_rng(0).integers(0, 97, (2, 11))


def build():
    keras.utils.set_random_seed(0)
    return kbm.models.decoder_lm(
        97,
        32,
        2,
        4,
        32,
        normalization="rms",
        activation="silu",
        gated=True,
        num_key_value_heads=2,
    )


def test_kernels_are_rounded_to_the_nearest_of_255():
    model, exact = build(), build()
    assert kbm.quantize(model) is model
    block, other = (m.get_layer("decoder_block_1") for m in (model, exact))
    kernel = block.feed_forward.up._kernel.numpy()
    before = other.feed_forward.up.kernel.numpy()
    scale = np.abs(before).max(axis=0) / 127
    assert kernel.dtype == "int8"
    assert np.abs(kernel * scale - before).max() <= 0.501 * scale.max()
    assert str(model.get_layer("token_embedding").embeddings.dtype) == "float32"
    error = np.linalg.norm(model(IDS) - exact(IDS))
    assert error < 0.05 * np.linalg.norm(exact(IDS))


def test_it_generates_as_it_computes():
    model = kbm.quantize(build())
    prompt = [3, 5, 7]
    (answer,) = kbm.generate(model, [prompt], max_new_tokens=5)
    for token in answer:
        assert token == int(np.argmax(model(np.array([prompt]))[0, -1]))
        prompt = [*prompt, token]


def test_what_cannot_be_quantised():
    ids = keras.Input((None,), dtype="int32")
    table = keras.Model(ids, kbm.layers.TokenEmbedding(11, 6)(ids))
    with pytest.raises(ValueError, match="no Dense layer"):
        kbm.quantize(table)
    with pytest.raises(ValueError, match="merge_lora"):
        kbm.quantize(kbm.lora(build(), rank=2))
    model = kbm.quantize(build())
    with pytest.raises(ValueError, match="quantised already"):
        kbm.quantize(model)
    with pytest.raises(ValueError, match="before it was quantised"):
        kbm.huggingface.save(model, None, "nowhere")
