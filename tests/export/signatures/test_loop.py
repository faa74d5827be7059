"""Checks what an export's decoding loop is made of."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.export.signatures import loop
from keras_bigmodel.layers.decoding import DecodingScope


@pytest.mark.parametrize("cores", [None, 2, 3])
def test_parts_stand_in_as_many_lines_as_there_are_cores(cores, monkeypatch):
    monkeypatch.setattr(loop, "part_bytes", lambda: 512)
    kernels = loop.Loop(cores=cores).kernels()
    layer = keras.layers.Dense(16)
    layer.build((None, 64))

    @tf.function(autograph=False)
    def product(x):
        with DecodingScope(4):
            return kernels.project(layer, x)

    x = tf.random.stateless_normal((2, 64), (0, 1))
    np.testing.assert_allclose(product(x), layer(x), atol=1e-5)
    graph = product.get_concrete_function(x).graph
    parts = [op for op in graph.get_operations() if op.type == "MatMul"]
    assert len(parts) == 8
    waiting = [op for op in parts if op.control_inputs]
    assert len(waiting) == (8 - cores if cores else 0)


def test_xla_finds_its_own_way():
    assert loop.Loop(jit_compile=True).kernels() is None


@pytest.mark.parametrize("cores", [0, -2])
def test_there_are_cores(cores):
    with pytest.raises(ValueError, match=f"Received: cores={cores}"):
        loop.Loop(cores=cores)
