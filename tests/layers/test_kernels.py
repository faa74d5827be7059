"""What Keras's own kernels compute, against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel.layers import DecodingScope, TokenEmbedding
from keras_bigmodel.layers.kernels import KERAS, Kernels
from tests.layer_case import to_numpy

RNG = np.random.default_rng(0)


def random(*shape):
    return RNG.normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    "slots", [[[0, 4]], [[1, 2], [3, 0], [4, 1]]], ids=["same", "own"]
)
def test_write_replaces_the_slots_of_each_row(slots):
    cache, x = random(3, 2, 5, 4), random(3, 2, 2, 4)
    expected = cache.copy()
    for row in range(3):
        for step, slot in enumerate(slots[row % len(slots)]):
            expected[row, :, slot] = x[row, :, step]
    written = KERAS.write(
        DecodingScope(max_length=5),
        ops.convert_to_tensor(cache),
        ops.convert_to_tensor(slots, "int32"),
        ops.convert_to_tensor(x),
    )
    assert to_numpy(written).tobytes() == expected.tobytes()


def test_scatter_leaves_what_it_is_given():
    cache = ops.convert_to_tensor(random(2, 2, 3, 4))
    before, rows = to_numpy(cache).copy(), random(2, 4)
    found = to_numpy(KERAS.scatter(cache, [[0, 1, 2], [1, 0, 0]], rows))
    expected = before.copy()
    expected[0, 1, 2], expected[1, 0, 0] = rows
    assert found.tobytes() == expected.tobytes()
    assert to_numpy(cache).tobytes() == before.tobytes()


def test_fold_and_unfold_keep_each_row():
    x = random(2, 3, 4)
    rows = KERAS.fold(ops.convert_to_tensor(x))
    assert np.array_equal(to_numpy(rows), x.reshape(6, 4))
    assert np.array_equal(to_numpy(KERAS.unfold(rows, x)), x.reshape(6, 4))


@pytest.mark.parametrize("activation", [None, keras.activations.relu])
def test_project_is_the_layer_and_the_activation(activation):
    layer, x = keras.layers.Dense(5, bias_initializer="normal"), random(3, 4)
    y = KERAS.project(layer, ops.convert_to_tensor(x), activation)
    kernel, bias = (to_numpy(weights) for weights in layer.weights)
    expected = x @ kernel + bias
    if activation is not None:
        expected = np.maximum(expected, 0)
    np.testing.assert_allclose(to_numpy(y), expected, atol=1e-5)


def test_normalize_is_the_layer():
    x = random(2, 3, 4)
    layer = keras.layers.LayerNormalization(epsilon=1e-5)
    centred = x - x.mean(-1, keepdims=True)
    expected = centred / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    found = to_numpy(KERAS.normalize(layer, ops.convert_to_tensor(x)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_score_tokens_is_the_product_with_the_table():
    embedding = TokenEmbedding(7, 4)
    embedding.build((None, None))
    hidden, table = random(3, 4), to_numpy(embedding.embeddings)
    scores = KERAS.score_tokens(
        ops.convert_to_tensor(hidden), embedding.embeddings
    )
    np.testing.assert_allclose(to_numpy(scores), hidden @ table.T, atol=1e-5)


def test_attend_is_attention():
    query = random(2, 2, 1, 3, 4)
    key, value = random(2, 2, 2, 5, 4)
    scores = np.exp(np.einsum("bkgtd,bksd->bkgts", query, key))
    weights = scores / scores.sum(-1, keepdims=True)
    expected = np.einsum("bkgts,bksd->bkgtd", weights, value)
    found = KERAS.attend(*map(ops.convert_to_tensor, (query, key, value)))
    np.testing.assert_allclose(to_numpy(found), expected, atol=1e-5)


def test_caches_grow_only_where_a_backend_says_so():
    assert KERAS.growth is None
    assert KERAS.for_prompts() is KERAS
    assert type(KERAS) is Kernels
