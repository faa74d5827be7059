import keras
import numpy as np
import pytest

import keras_bigmodel as kbm

pytestmark = pytest.mark.tensorflow
if keras.config.backend() == "tensorflow":
    import tensorflow as tf

    from keras_bigmodel.generation.tensorflow_kernels import (
        PromptKernels,
        StepKernels,
    )
    from keras_bigmodel.layers.kernels import Kernels


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_scatter_replaces_rows_to_the_bit(dtype):
    rng = np.random.default_rng(0)
    # Magnitudes far apart, infinities and no numbers: sums would round them.
    cache = rng.normal(size=(2, 3, 5, 7)) * 10.0 ** rng.integers(-4, 4, 7)
    rows = rng.normal(size=(3, 7)) * 10.0 ** rng.integers(-4, 4, 7)
    cache[0, 1, 2, 3], rows[0, 3], rows[1, 1] = np.inf, np.nan, -0.0
    cache, rows = tf.cast(cache, dtype), tf.cast(rows, dtype)
    indices = [[0, 1, 2], [1, 2, 4], [1, 0, 0]]
    expected = tf.tensor_scatter_nd_update(cache, indices, rows)
    kept = tf.identity(cache).numpy().tobytes()
    found = tf.function(PromptKernels().scatter)(
        cache, tf.constant(indices), rows
    )
    assert found.numpy().tobytes() == expected.numpy().tobytes()
    assert found.dtype == cache.dtype
    # What the caller holds stays as it was.
    assert cache.numpy().tobytes() == kept


def test_scatter_in_a_loop_copies_nothing():
    slots, dim = 2**15, 64
    size = slots * dim * 4

    @tf.function(autograph=False)
    def fill(steps):
        cache = tf.zeros((1, 1, steps * 0 + slots, dim))

        def write(step, cache):
            row = tf.cast(tf.fill((1, dim), step), "float32")
            where = tf.stack([0, 0, step])[None]
            return step + 1, PromptKernels().scatter(cache, where, row)

        _, cache = tf.while_loop(
            lambda step, _: step < steps, write, (0, cache)
        )
        return tf.reduce_sum(cache), tf.raw_ops.Size(input=cache)

    total, _ = fill(tf.constant(10))
    assert float(total) == 45 * dim
    before = _peak()
    fill(tf.constant(200))
    assert _peak() - before < size / 2


def _peak():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_out_of_range_is_an_error():
    with pytest.raises(tf.errors.InvalidArgumentError, match="does not index"):
        PromptKernels().scatter(
            tf.zeros((1, 1, 2, 3)), tf.constant([[0, 0, 2]]), tf.ones((1, 3))
        )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("kernels", [PromptKernels(), Kernels()])
def test_new_caches_hold_what_is_written_and_zeros(kernels, dtype):
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 7))
    x = tf.cast(x, dtype)

    @tf.function(input_signature=[tf.TensorSpec([None, 3, None, 7], dtype)])
    def write(x):
        scope = kbm.layers.DecodingScope(max_length=9)
        slots = tf.constant([[4, 0], [1, 2]])
        shape = tf.shape(x)[0], 3, 5, 7
        return kernels.write_new(scope, shape, slots, x)

    expected = np.zeros((2, 3, 5, 7), x.numpy().dtype)
    for row, places in enumerate(([4, 0], [1, 2])):
        expected[row][:, places] = x.numpy()[row]
    np.testing.assert_array_equal(write(x), expected)


def written(cache, slots, x):
    """A cache after a step has written into it."""

    @tf.function(autograph=False)
    def write(cache):
        scope = kbm.layers.DecodingScope(max_length=9)
        cache = tf.raw_ops.DeepCopy(x=cache)
        return StepKernels().write(scope, cache, tf.constant(slots), x)

    return write(cache).numpy()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_steps_write_where_the_tokens_are(dtype):
    rng = np.random.default_rng(0)
    cache = tf.cast(rng.normal(size=(2, 3, 5, 7)), dtype)
    x = tf.cast(rng.normal(size=(2, 3, 2, 7)), dtype)
    expected = cache.numpy()
    for row, places in enumerate(([4, 0], [1, 2])):
        expected[row][:, places] = x.numpy()[row]
    found = written(cache, [[4, 0], [1, 2]], x)
    np.testing.assert_array_equal(found, expected)


def test_slots_that_do_not_exist_are_in_their_own_row():
    cache, x = tf.zeros((3, 2, 4, 1)), tf.ones((3, 2, 1, 1))
    found = written(cache, [[10**9], [1], [-(10**9)]], x)[..., 0]
    expected = np.zeros((3, 2, 4))
    expected[0, :, 3] = expected[1, :, 1] = expected[2, :, 0] = 1
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.LayerNormalization(epsilon=1e-5),
        keras.layers.LayerNormalization(center=False, scale=False),
        keras.layers.LayerNormalization(axis=1),
        keras.layers.RMSNormalization(),
        kbm.layers.RMSNormalization(epsilon=0.1),
        keras.layers.UnitNormalization(),
    ],
    ids=lambda layer: layer.name,
)
@pytest.mark.parametrize("kernels", [StepKernels, PromptKernels])
def test_normalisation_is_the_layers(kernels, layer):
    x = np.random.default_rng(0).normal(2, 3, size=(2, 1, 7))
    x = tf.cast(x, tf.float32)
    if not layer.built:
        layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(weight + np.arange(weight.shape[0]))
    found = kernels().normalize(layer, x)
    np.testing.assert_allclose(found, layer(x), atol=1e-5)


@pytest.mark.parametrize("rows", [(1, 3), (1, np.inf), (65, np.inf)])
@pytest.mark.parametrize("activation", [None, tf.nn.relu])
@pytest.mark.parametrize("use_bias", [False, True])
def test_steps_project_as_the_layer_does(rows, activation, use_bias):
    layer = keras.layers.Dense(16, use_bias=use_bias, bias_initializer="ones")
    layer.build((None, 8))
    x = tf.random.stateless_normal((2, 8), (0, 1))
    expected = layer(x) if activation is None else activation(layer(x))
    kernels = StepKernels(rows=rows, part_bytes=256)
    found = kernels.project(layer, x, activation)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_large_vocabulary_is_generated_alike_in_any_batch():
    inputs = keras.Input((None,), dtype="int32")
    embedding = kbm.layers.TokenEmbedding(5003, 8)
    model = keras.Model(inputs, embedding(embedding(inputs), reverse=True))
    prompts = np.arange(12).reshape(6, 2)
    together = kbm.generate(model, prompts.tolist(), max_new_tokens=3)
    alone = [kbm.generate(model, p, max_new_tokens=3) for p in prompts.tolist()]
    assert together == alone
    table = np.asarray(embedding.embeddings, "float64")
    best = np.argmax(table[prompts[:, -1]] @ table.T, axis=1)
    assert [answer[0] for answer in together] == best.tolist()


@pytest.mark.parametrize(
    ("rows", "number"), [((1, np.inf), 8), ((1, 3), 5), ((4, 7), 5)]
)
def test_rows_are_added_where_few_and_many_may_come(rows, number):
    kernels = StepKernels(pack_weights=True, rows=rows)
    x = tf.reshape(tf.range(15.0), (1, 5, 3))
    folded = kernels.fold(x)
    assert folded.shape == (number, 3)
    assert np.array_equal(kernels.unfold(folded, x), x[0])
    assert not np.any(folded[5:])


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
def test_steps_transpose_as_keras_does(dtype):
    x = tf.reshape(tf.range(60), (3, 4, 5))
    x = tf.cast(x, dtype)
    found = tf.function(StepKernels().transpose)(x, (2, 0, 1))
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, np.transpose(x, (2, 0, 1)))
