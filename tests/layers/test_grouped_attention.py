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

ON_JAX = keras.config.backend() == "jax"
X = np.random.default_rng(0).normal(size=(1, 7, 8)).astype("float32")


@pytest.fixture
def paths(monkeypatch):
    """Collects the names of the paths taken; blocks from 7 queries on.

    On JAX as on an accelerator: the fused kernels run on a CPU too.
    """
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
    if ON_JAX:
        for module in (dot_product, chunked_attention):
            monkeypatch.setattr(module, "fused_kernels_available", lambda: True)
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
        path = "attend_fused" if ON_JAX else "attend"
    SelfAttention(2, **arguments)(X, training=training)
    assert paths == [path]


def test_short_sequences_and_recorders_take_the_plain_path(paths):
    layer = SelfAttention(2)
    with AttentionRecorder():
        layer(X)
    assert paths == ["attend"]
    layer(X[:, :3])
    short = "attend_fused" if ON_JAX else "attend"
    assert paths == ["attend", short]


PADDING = np.ones((1, 7), "bool")
PADDING[0, :3] = False


@pytest.mark.skipif(not ON_JAX, reason="fused kernels are JAX's")
@pytest.mark.parametrize(
    ("arguments", "inputs"),
    [
        ({"num_key_value_heads": 1}, {}),
        ({"causal": True}, {}),
        ({"causal": True}, {"padding_mask": PADDING}),
        ({"causal": True, "sliding_window": 3}, {}),
        ({"causal": True, "position_encoding": ALiBiPositionEncoding(2)}, {}),
        ({}, {"segment_ids": np.array([[1, 1, 2, 2, 2, 3, 3]], "int32")}),
        (
            {"causal": True, "position_encoding": RotaryPositionEncoding()},
            {"positions": np.array([[0, 1, 0, 1, 2, 0, 1]], "int32")},
        ),
    ],
)
def test_fused_layers_are_plain_ones(paths, arguments, inputs):
    layer = SelfAttention(2, **arguments)
    fused = layer(X, **inputs)
    with AttentionRecorder():
        plain = layer(X, **inputs)
    assert paths == ["attend_fused", "attend"]
    np.testing.assert_allclose(fused, plain, rtol=1e-5, atol=1e-5)


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
