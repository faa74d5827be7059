"""Checks what an export's decoding loop is made of."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.export.signatures import loop
from keras_bigmodel.layers.decoding import DecodingScope


@pytest.mark.parametrize(
    ("cores", "awaited"),
    [
        (None, {}),
        # The last of each line waits for the one before the one before.
        (2, {2: 0, 3: 1, 4: 2, 5: 3, 6: 2, 7: 3}),
        (3, {3: 0, 4: 1, 6: 0, 7: 1}),
    ],
)
def test_parts_stand_in_as_many_lines_as_there_are_cores(
    cores, awaited, monkeypatch
):
    monkeypatch.setattr(loop, "part_bytes", lambda: 512)
    made = loop.Loop(cores=cores)
    kernels = made.kernels(made.blocks())
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
    assert awaited == {
        number: parts.index(*part.control_inputs)
        for number, part in enumerate(parts)
        if part.control_inputs
    }


def test_xla_finds_its_own_way():
    made = loop.Loop(jit_compile=True)
    assert made.kernels(made.blocks()) is None


@pytest.mark.parametrize("cores", [0, -2])
def test_there_are_cores(cores):
    with pytest.raises(ValueError, match=f"Received: cores={cores}"):
        loop.Loop(cores=cores)
