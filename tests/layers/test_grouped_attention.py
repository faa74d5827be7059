"""Which path attention takes, and what it costs to make."""

import time

import keras
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.layers import (
    ALiBiPositionEncoding,
    AttentionRecorder,
    RelativePositionEncoding,
    RotaryPositionEncoding,
    SelfAttention,
    chunked_attention,
    dot_product,
)

X = np.random.default_rng(0).normal(size=(1, 7, 8)).astype("float32")


@pytest.fixture
def paths(monkeypatch):
    """Collects the names of the paths taken; blocks from 7 queries on."""
    taken = []

    def watch(module, name):
        original = getattr(module, name)

        def watched(*arguments, **options):
            taken.append(name)
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, watched)

    watch(dot_product, "attend")
    watch(dot_product, "attend_fused")
    watch(chunked_attention, "chunked_attend")
    monkeypatch.setattr(chunked_attention, "CHUNKED_FROM", 7)
    return taken


FAST = "attend_fused" if keras.config.backend() == "jax" else "chunked_attend"


@pytest.mark.parametrize(
    ("arguments", "training", "path"),
    [
        ({}, None, FAST),
        ({"position_encoding": ALiBiPositionEncoding(2)}, None, FAST),
        ({"position_encoding": RotaryPositionEncoding()}, None, FAST),
        ({"position_encoding": RelativePositionEncoding(2)}, None, None),
        ({"use_sinks": True}, None, "attend"),
        ({"dropout": 0.5}, None, FAST),
        ({"dropout": 0.5}, False, FAST),
        ({"dropout": 0.5}, True, "attend"),
    ],
)
def test_the_path_suits(paths, arguments, training, path):
    if path is None:  # A trained bias is no matter for the fused kernels.
        path = "attend_fused" if FAST == "attend_fused" else "attend"
    SelfAttention(2, **arguments)(X, training=training)
    assert paths == [path]


def test_short_sequences_and_recorders_take_the_plain_path(paths):
    layer = SelfAttention(2)
    with AttentionRecorder():
        layer(X)
    assert paths == ["attend"]
    layer(X[:, :3])
    short = "attend_fused" if FAST == "attend_fused" else "attend"
    assert paths == ["attend", short]


def test_projections_start_apart():
    layer = SelfAttention(2, kernel_initializer="glorot_uniform")
    layer.build((None, None, 8))
    kernels = [
        getattr(layer, f"{name}_projection").kernel
        for name in ("query", "key", "value", "output")
    ]
    kernels = [keras.ops.convert_to_numpy(kernel) for kernel in kernels]
    for index, kernel in enumerate(kernels):
        assert all(np.abs(kernel - other).max() for other in kernels[:index])


def test_a_big_model_is_made_without_tracing_it(paths):
    start = time.perf_counter()
    count = kbm.models.count_parameters(
        kbm.models.decoder_lm,
        128256,
        8192,
        32,
        32,
        4096,
        14336,
        num_key_value_heads=8,
        normalization="rms",
        activation="silu",
        gated=True,
        use_bias=False,
        tie_embeddings=False,
    )
    assert count == 8_030_261_248  # As Llama 3.1's model card has it.
    assert paths == []
    assert time.perf_counter() - start < 60
