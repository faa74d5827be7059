import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow


@pytest.fixture(autouse=True)
def packing():
    from keras_bigmodel.generation import tensorflow_packing

    if not tensorflow_packing.is_available():
        pytest.skip("this TensorFlow has no packed products")
    return tensorflow_packing


def numbers(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return values.astype("float32")


@pytest.mark.parametrize("rows", [8, 9, 64])
@pytest.mark.parametrize("transpose", [False, True])
def test_products(packing, rows, transpose):
    import tensorflow as tf

    x, weights = numbers(rows, 17), numbers(17, 13)
    kept = tf.Variable(weights.T if transpose else weights)
    product = tf.function(
        lambda x: packing.packed_product(x, kept, transpose=transpose)
    )
    for _ in range(2):
        expected = x.astype("float64") @ weights
        np.testing.assert_allclose(product(x), expected, atol=1e-5)


def test_weights_are_those_of_the_first_run(packing):
    """What callers must know, and why values are held."""
    import tensorflow as tf

    x, weights = numbers(8, 17), tf.Variable(numbers(17, 13))
    product = tf.function(lambda x: packing.packed_product(x, weights))
    before = product(x).numpy()
    weights.assign(2 * weights)
    np.testing.assert_array_equal(product(x), before)


def changes():
    import tensorflow as tf

    return {
        "assign": lambda v: v.assign(-v),
        "assign the same": lambda v: v.assign(v + 0.0),
        "assign an array": lambda v: v.assign(v.numpy()),
        "add": lambda v: v.assign_add(tf.ones_like(v)),
        "add in a graph": tf.function(lambda v: v.assign_sub(v) is None),
        "one element": lambda v: v[0, 0].assign(3.0),
        "a row": lambda v: v.scatter_update(
            tf.IndexedSlices(tf.ones((1, 3)), [0])
        ),
        "add to a row": lambda v: v.scatter_add(
            tf.IndexedSlices(tf.ones((1, 3)), [0])
        ),
        "descend": lambda v: tf.raw_ops.ResourceApplyGradientDescent(
            var=v.handle, alpha=1.0, delta=tf.ones_like(v)
        ),
    }


@pytest.mark.parametrize("name", changes())
def test_whatever_changes_a_weight_is_noticed(packing, name):
    import tensorflow as tf

    kept = [tf.Variable(numbers(5, 3)), tf.Variable(numbers(3))]
    values = packing.hold(kept)
    for variable in kept:
        variable.numpy()
    assert packing.are_held(values, kept)
    changes()[name](kept[0])
    assert not packing.are_held(values, kept)
    assert not packing.are_held(values, kept[1:])
    assert packing.are_held(packing.hold(kept), kept)


def test_a_fitted_weight_is_noticed(packing):
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.fit(numbers(8, 3), numbers(8, 2), verbose=0)
    kernel = [model.layers[0].kernel.value]
    for _ in range(2):
        values = packing.hold(kernel)
        model.fit(numbers(8, 3), numbers(8, 2), verbose=0)
        assert not packing.are_held(values, kernel)


def layer(inputs, outputs, use_bias=True):
    import keras

    made = keras.layers.Dense(
        outputs, use_bias=use_bias, bias_initializer="random_normal"
    )
    made.build((None, inputs))
    return made


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "silu", "relu"])
@pytest.mark.parametrize(
    ("project", "parts"),
    [
        ("packed_projection", 1),
        ("packed_projection", 4),
        ("held_projection", 2),
        ("held_projection", 4),
        ("held_projection", 8),
    ],
)
def test_feed_forward_networks_in_parts(
    packing, project, parts, activation, use_bias
):
    """Beside Keras's layers: a part of one goes into a part of the other."""
    import tensorflow as tf

    from keras_bigmodel.generation.tensorflow_parts import Lanes
    from keras_bigmodel.layers import activations
    from keras_bigmodel.layers.decoding import DecodingScope

    project = getattr(packing, project)
    up, down = layer(32, 64, use_bias), layer(64, 32, use_bias)
    activate = activations.get(activation)

    @tf.function
    def network(x):
        with DecodingScope(8):
            options = parts, Lanes(2)
            wide = project(up, x, activate, *options)
            # An activation of what blocks of some inputs add up to, too.
            return project(down, wide, activate, *options)

    x = 3 * numbers(8, 32)
    expected = activate(down(activate(up(x))))
    np.testing.assert_allclose(network(x), expected, atol=1e-5)
    concrete = network.get_concrete_function(x)
    found = [node.op for node in concrete.graph.as_graph_def().node]
    assert found.count(packing.KERNEL) == 2 * parts


@pytest.mark.parametrize(
    ("inputs", "outputs", "parts", "expected"),
    [
        (32, 64, 4, True),
        (64, 32, 4, True),
        (512, 8, 16, True),
        # Nothing to cut, columns and rows that cannot be, and such blocks as
        # do not begin where vectors do.
        (32, 64, 1, False),
        (32, 31, 4, False),
        (33, 16, 4, False),
        (4, 4, 4, False),
    ],
)
def test_which_kernels_have_blocks(packing, inputs, outputs, parts, expected):
    assert packing.has_blocks(layer(inputs, outputs), parts) is expected


def normalizations():
    import keras

    import keras_bigmodel as kbm

    return {
        "layer": keras.layers.LayerNormalization(epsilon=1e-5),
        "no offset": keras.layers.LayerNormalization(center=False),
        "no factor": keras.layers.LayerNormalization(scale=False),
        "nothing": keras.layers.LayerNormalization(center=False, scale=False),
        "Keras's RMS": keras.layers.RMSNormalization(),
        "RMS": kbm.layers.RMSNormalization(),
    }


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("name", normalizations())
def test_blocks_do_what_a_normalisation_ends_with(packing, name, use_bias):
    import tensorflow as tf

    from keras_bigmodel.generation.tensorflow_kernels import StepKernels
    from keras_bigmodel.layers.decoding import DecodingScope

    normalization, dense = normalizations()[name], layer(32, 64, use_bias)
    x = 3 + numbers(8, 1, 32)
    normalization.build(x.shape)
    for weight in normalization.weights:
        weight.assign(weight + numbers(32))
    kernels = StepKernels(
        pack_weights=True, rows=(8, 64), part_bytes=4096, holds_weights=True
    )

    @tf.function
    def step(x):
        with DecodingScope(8, kernels=kernels):
            normal = kernels.normalize(normalization, x)
            rows = kernels.fold(normal)
            return normal, kernels.project(dense, rows)

    normal, found = step(x)
    np.testing.assert_allclose(normal, normalization(x), atol=1e-5)
    expected = dense(normalization(x))[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    operations = step.get_concrete_function(x).graph.get_operations()
    products = [op for op in operations if op.type == packing.KERNEL]
    assert len(products) == 2
    for product in products:
        # The rows as they were before.
        (source,) = product.inputs[0].op.inputs[:1]
        assert source.op.type == "Mul"
        assert all(x.shape[0] != 32 for x in source.op.inputs)
