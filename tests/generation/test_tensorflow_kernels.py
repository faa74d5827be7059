import keras
import numpy as np
import pytest

import keras_bigmodel as kbm

pytestmark = pytest.mark.tensorflow
if keras.config.backend() == "tensorflow":
    import tensorflow as tf

    from keras_bigmodel.generation.tensorflow_kernels import TensorFlowKernels


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
    found = tf.function(TensorFlowKernels().scatter)(
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
            return step + 1, TensorFlowKernels().scatter(cache, where, row)

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
        TensorFlowKernels().scatter(
            tf.zeros((1, 1, 2, 3)), tf.constant([[0, 0, 2]]), tf.ones((1, 3))
        )


@pytest.mark.parametrize("size", [11, 4096, 5003])
@pytest.mark.parametrize("rows", [1, 4, 9, 65])
def test_scores_of_any_table_and_number_of_rows(size, rows):
    rng = np.random.default_rng(rows)
    hidden, table = rng.normal(size=(rows, 8)), rng.normal(size=(size, 8))
    score = tf.function(
        TensorFlowKernels().score,
        input_signature=[
            tf.TensorSpec([None, 8], tf.float32),
            tf.TensorSpec([size, 8], tf.float32),
        ],
    )
    found = score(hidden.astype("float32"), table.astype("float32"))
    np.testing.assert_allclose(found, hidden @ table.T, atol=1e-5)


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
