import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow


def numbers(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return values.astype("float32")


def layer(inputs, outputs, use_bias=True):
    import keras

    made = keras.layers.Dense(
        outputs, use_bias=use_bias, bias_initializer="random_normal"
    )
    made.build((None, inputs))
    return made


@pytest.fixture(params=["plain", "packed"])
def is_packed(request):
    from keras_bigmodel.generation import tensorflow_packing

    if request.param == "packed" and not tensorflow_packing.is_available():
        pytest.skip("this TensorFlow has no packed products")
    return request.param == "packed"


def products(function, *inputs):
    """The products of a graph, plain or packed."""
    from keras_bigmodel.generation.tensorflow_packing import KERNEL

    graph = function.get_concrete_function(*inputs).graph
    kinds = "MatMul", KERNEL
    return [op for op in graph.get_operations() if op.type in kinds]


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "silu", "relu"])
# The wide layer has two columns of blocks, the other one.
@pytest.mark.parametrize(
    ("part_bytes", "count"), [(2**15, 4), (2**13, 16), (2**11, 64)]
)
def test_feed_forward_networks_in_blocks(
    is_packed, part_bytes, count, activation, use_bias
):
    """Beside Keras's layers: blocks of one go into blocks of the other."""
    import tensorflow as tf

    from keras_bigmodel.generation.tensorflow_blocks import BlockStore
    from keras_bigmodel.generation.tensorflow_parts import Lanes
    from keras_bigmodel.layers import activations
    from keras_bigmodel.layers.decoding import DecodingScope

    up, down = layer(64, 320, use_bias), layer(320, 64, use_bias)
    activate = activations.get(activation)
    store = BlockStore(part_bytes)

    @tf.function
    def network(x):
        with DecodingScope(8):
            options = Lanes(2), is_packed
            wide = store.find(up).project(x, activate, *options)
            # An activation of what blocks of some inputs add up to, too.
            return store.find(down).project(wide, activate, *options)

    x = 3 * numbers(8, 64)
    expected = activate(down(activate(up(x))))
    np.testing.assert_allclose(network(x), expected, atol=1e-5)
    assert len(products(network, x)) == 2 * count


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (64, 512, (1, 2)),
        (256, 512, (4, 2)),
        (256, 256, (4, 1)),
        # As wide as may be, and no wider.
        (64, 192 * 3, (1, 3)),
        (64, 2 * 112, None),
        (64, 3 * 112, (1, 3)),
        # One block, and inputs and outputs that cannot be cut.
        (64, 256, None),
        (64, 259, None),
        (257, 256, None),
        (4, 32, None),
    ],
)
def test_how_kernels_are_cut(inputs, outputs, expected):
    from keras_bigmodel.generation import tensorflow_blocks

    assert tensorflow_blocks.num_cuts(inputs, outputs, 2**16) == expected
    found = tensorflow_blocks.BlockStore(2**16).find(layer(inputs, outputs))
    cuts = found and (found.groups, found.count)
    assert cuts == expected
    if found:
        inputs, outputs = inputs // cuts[0], outputs // cuts[1]
        assert found.values.shape == (cuts[0] * cuts[1], inputs, outputs)


def test_a_kernel_is_cut_once():
    from keras_bigmodel.generation.tensorflow_blocks import BlockStore

    kept = []

    def keep(array):
        kept.append(array)
        return array

    store = BlockStore(2**16, keep)
    dense, other = layer(64, 512), layer(64, 512)
    assert store.find(dense) is store.find(dense)
    assert store.find(other) is not store.find(dense)
    assert len(kept) == 2
    np.testing.assert_array_equal(
        np.concatenate(kept[0], axis=1), dense.kernel.numpy()
    )


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
@pytest.mark.parametrize("rows", [1, 4])
def test_blocks_do_what_a_normalisation_ends_with(
    is_packed, rows, name, use_bias
):
    import tensorflow as tf

    from keras_bigmodel.generation.tensorflow_blocks import BlockStore
    from keras_bigmodel.generation.tensorflow_kernels import StepKernels
    from keras_bigmodel.layers.decoding import DecodingScope

    normalization, dense = normalizations()[name], layer(32, 128, use_bias)
    x = 3 + numbers(rows, 1, 32)
    normalization.build(x.shape)
    for weight in normalization.weights:
        weight.assign(weight + numbers(32))
    kernels = StepKernels(
        pack_weights=is_packed,
        part_bytes=4096,
        blocks=BlockStore(4096, replace_kernels=True),
    )
    prompts = kernels.for_prompts()

    @tf.function
    def step(x):
        with DecodingScope(8, kernels=kernels):
            normal = kernels.normalize(normalization, x)
            product = kernels.project(dense, kernels.fold(normal))
            return normal, kernels.unfold(product, x)

    @tf.function
    def prompt(x):
        with DecodingScope(8, kernels=prompts):
            normal = prompts.normalize(normalization, x)
            return normal, prompts.project(dense, prompts.fold(normal))

    for read in (step, prompt):
        normal, found = read(x)
        np.testing.assert_allclose(normal, normalization(x), atol=1e-5)
        expected = dense(normalization(x))[:, 0]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert len(products(read, x)) == 4
        # Nothing of what the layer ends with is in the way, nor the kernel.
        captured = read.get_concrete_function(x).captured_inputs
        handles = [id(dense.kernel.value.handle)]
        assert not any(id(given) in handles for given in captured)
