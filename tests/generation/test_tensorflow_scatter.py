import keras
import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow
if keras.config.backend() == "tensorflow":
    import tensorflow as tf

    from keras_bigmodel.generation.tensorflow_scatter import scatter_in_place


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
    found = tf.function(scatter_in_place)(cache, tf.constant(indices), rows)
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
            return step + 1, scatter_in_place(cache, where, row)

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
        scatter_in_place(
            tf.zeros((1, 1, 2, 3)), tf.constant([[0, 0, 2]]), tf.ones((1, 3))
        )
