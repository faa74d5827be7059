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
        monkeypatch.setattr(dot_product, "fuses", lambda query, masked: True)
    return taken


FAST = "attend_fused" if keras.config.backend() == "jax" else "chunked_attend"


@pytest.mark.parametrize(
    ("arguments", "training", "path"),
    [
        ({}, None, FAST),
        (
            {"position_encoding": ALiBiPositionEncoding(2)},
            None,
            "chunked_attend",
        ),
        ({"position_encoding": RotaryPositionEncoding()}, None, FAST),
        ({"position_encoding": RelativePositionEncoding(2)}, None, "attend"),
        ({"logit_soft_cap": 5.0}, None, "chunked_attend"),
        ({"use_sinks": True}, None, "attend"),
        ({"dropout": 0.5}, None, FAST),
        ({"dropout": 0.5}, False, FAST),
        ({"dropout": 0.5}, True, "attend"),
    ],
)
def test_the_path_suits(paths, arguments, training, path):
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
        ({}, {"padding_mask": PADDING}),
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


@pytest.mark.parametrize(
    ("kind", "dtype", "length", "dim", "masked", "fuses"),
    [
        ("gpu", "bfloat16", 64, 64, False, True),
        ("gpu", "float16", 64, 128, True, True),
        ("gpu", "float32", 64, 64, False, False),
        ("gpu", "float64", 64, 64, False, False),
        ("gpu", "bfloat16", 63, 64, False, False),
        ("gpu", "bfloat16", 64, 20, False, False),
        ("gpu", "bfloat16", 64, 256, False, False),
        ("tpu", "float32", 64, 20, False, True),
        ("tpu", "bfloat16", 64, 64, True, False),
        (None, "bfloat16", 64, 64, False, False),
    ],
)
def test_what_fused_kernels_can_do(
    monkeypatch, kind, dtype, length, dim, masked, fuses
):
    monkeypatch.setattr(dot_product, "accelerator", lambda: kind)
    query = keras.KerasTensor((1, 1, 1, length, dim), dtype)
    assert dot_product.fuses(query, masked) == fuses


@pytest.mark.gpu
@pytest.mark.skipif(not ON_JAX, reason="fused kernels are JAX's")
@pytest.mark.parametrize(
    ("arguments", "padded"),
    [
        ({}, False),
        ({}, True),
        ({"causal": True}, False),
        ({"causal": True}, True),
        ({"causal": True, "num_key_value_heads": 2}, True),
        ({"causal": True, "sliding_window": 50}, True),
    ],
)
def test_fused_kernels_of_a_gpu_are_plain_attention(arguments, padded):
    import jax

    length, layer = 256, SelfAttention(4, 64, dtype="bfloat16", **arguments)
    x = np.random.default_rng(1).normal(size=(2, length, 32)).astype("float32")
    layer.build(x.shape)
    mask = np.ones((2, length), "bool")
    mask[0, :100] = mask[1, 200:] = False
    inputs = {"padding_mask": mask} if padded else {}

    def loss(x):
        y = layer(keras.ops.cast(x, "bfloat16"), **inputs)
        return keras.ops.sum(keras.ops.square(keras.ops.cast(y, "float32")))

    fused = jax.value_and_grad(loss)(x)
    with AttentionRecorder():
        plain = jax.value_and_grad(loss)(x)
    for one, other in zip(fused, plain, strict=True):
        difference = np.linalg.norm(np.asarray(one - other, "float64"))
        assert 0 < difference < 0.02 * np.linalg.norm(other)


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
