import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from keras_bigmodel.export import eight_bit, eight_bit_layers
from keras_bigmodel.generation import tensorflow_packing
from keras_bigmodel.generation.tensorflow_kernels import StepKernels
from keras_bigmodel.layers.kernels import KERAS

pytestmark = [
    pytest.mark.skipif(
        not eight_bit.has_kernel(),
        reason="this build of TensorFlow has no _QuantizedMatMul",
    )
]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def with_eight_bits(model, x):
    """Returns what a model gives with 8 bits, and the relative error."""
    before = np.asarray(model(x))
    eight_bit_layers.use_eight_bits(model)
    after = np.asarray(model(x))
    return after, np.linalg.norm(after - before) / np.linalg.norm(before)


def test_a_dense_layer_keeps_bias_and_activation():
    inputs = keras.Input((None, 13))
    outputs = keras.layers.Dense(7, "relu", bias_initializer="ones")(inputs)
    model = keras.Model(inputs, outputs)
    x = numbers(2, 3, 13)
    before = np.asarray(model(x))
    assert eight_bit_layers.use_eight_bits(model) == 7 * 13
    after = np.asarray(model(x))
    assert not np.array_equal(after, before)
    np.testing.assert_allclose(after, before, atol=0.1)
    assert after.min() == 0


def test_a_language_model_generates_with_its_cache():
    model = kbm.models.decoder_lm(29, 31, 2, 2, 8)
    ids = np.array([[3, 5, 7, 11, 13]], "int32")
    before = np.asarray(model(ids))
    count = eight_bit_layers.use_eight_bits(model)
    assert count / model.count_params() > 0.8
    after = np.asarray(model(ids))
    error = np.linalg.norm(after - before) / np.linalg.norm(before)
    assert 0 < error < 0.05
    (made,) = kbm.generate(model, [[3, 5]], max_new_tokens=5)
    row = [3, 5]
    for token in made:
        assert token == np.argmax(model(np.array([row], "int32"))[0, -1])
        row.append(token)


@pytest.mark.parametrize("use_bias", [True, False, ("query", "value")])
@pytest.mark.parametrize("width", [16, 400])
def test_what_attention_reads_is_multiplied_once(use_bias, width):
    layer = kbm.layers.SelfAttention(
        4, num_key_value_heads=2, use_bias=use_bias, causal=True
    )
    inputs = keras.Input((None, width))
    model = keras.Model(inputs, layer(inputs))
    for weight in layer.weights:
        weight.assign(numbers(*weight.shape))
    projections = [
        layer.query_projection,
        layer.key_projection,
        layer.value_projection,
    ]
    single = [
        eight_bit.EightBitMatrix(
            np.transpose(dense.kernel), dense.bias if dense.use_bias else None
        )
        for dense in projections
    ]
    assert eight_bit_layers.use_eight_bits(model) == 3 * width**2
    assert tensorflow_packing.packable_weights(model) == []
    x = tf.constant(numbers(2, 3, width))
    expected = [matrix.products(x) for matrix in single]
    for found, alone in zip(layer.project_heads(x), expected, strict=True):
        found = tf.reshape(found, alone.shape)
        np.testing.assert_allclose(found, alone, 1e-5, 1e-5)

    @tf.function(autograph=False)
    def step(x):
        with kbm.layers.DecodingScope(8):
            return model(x)

    np.testing.assert_allclose(step(x), model(x), 1e-5, 1e-5)
    # In a step of generation, and where the whole is read at once.
    for function in (step, tf.function(model, autograph=False)):
        spec = tf.TensorSpec([None, 3, width])
        traced = function.get_concrete_function(spec)
        types = [op.type for op in traced.graph.get_operations()]
        # Two matrices, whole or each in two parts if it is larger.
        assert types.count(eight_bit.KERNEL) == (2 if width == 16 else 3)


@pytest.mark.parametrize("head_dim", [170, 171])
def test_heads_narrower_than_what_they_read(head_dim):
    layer = kbm.layers.SelfAttention(1, head_dim, causal=True)
    inputs = keras.Input((None, 600))
    model = keras.Model(inputs, layer(inputs))
    x = numbers(2, 3, 600)
    _, error = with_eight_bits(model, x)
    assert 0 < error < 0.05


def test_a_model_without_products_has_no_eight_bits():
    assert eight_bit_layers.use_eight_bits(kbm.models.lstm_lm(5, 1, 3)) > 0
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.ReLU()(inputs))
    assert eight_bit_layers.use_eight_bits(model) == 0


def test_parts_of_a_step_meet_at_its_end_alone():
    layer = kbm.layers.FeedForward(1024)
    inputs = keras.Input((None, 256))
    model = keras.Model(inputs, layer(inputs))
    x = numbers(3, 1, 256)
    before = np.asarray(model(x))
    eight_bit_layers.use_eight_bits(model)

    @tf.function(autograph=False)
    def step(x):
        with kbm.layers.DecodingScope(8):
            return model(x)

    outputs = step.get_concrete_function(tf.TensorSpec([None, 1, 256])).outputs
    seen, waiting, types = set(), [outputs[0].op], []
    while waiting:
        op = waiting.pop()
        if op.name not in seen:
            seen.add(op.name)
            types.append(op.type)
            waiting += [tensor.op for tensor in op.inputs]
    assert types.count(eight_bit.KERNEL) == 4
    assert types.count("AddN") == 1
    assert not {"ConcatV2", "Split", "SplitV"} & set(types)
    after = step(x)
    np.testing.assert_allclose(after, model(x), 1e-5, 1e-5)
    error = np.linalg.norm(after - before) / np.linalg.norm(before)
    assert 0 < error < 0.02


def test_a_dense_layer_of_some_size_is_cut():
    inputs = keras.Input((512,))
    dense = keras.layers.Dense(
        514, "relu", kernel_initializer="normal", bias_initializer="normal"
    )
    model = keras.Model(inputs, dense(inputs))
    x = numbers(3, 512)
    before = np.asarray(model(x))
    eight_bit_layers.use_eight_bits(model)
    traced = tf.function(model, autograph=False)
    traced = traced.get_concrete_function(tf.TensorSpec([None, 512]))
    types = [op.type for op in traced.graph.get_operations()]
    assert types.count(eight_bit.KERNEL) == 2
    after = traced(tf.constant(x))
    error = np.linalg.norm(after - before) / np.linalg.norm(before)
    assert 0 < error < 0.02
    # What generation applies comes after the layer's own activation.
    twice = KERAS.project(dense, tf.constant(x), lambda y: y + 1)
    np.testing.assert_allclose(twice, after + 1, 1e-5, 1e-5)


FACTORS = ("gamma", "scale")


def decoder_block(normalization, feed_forward=None, **options):
    return kbm.layers.DecoderBlock(
        num_heads=2,
        intermediate_dim=None if feed_forward else 24,
        feed_forward=feed_forward,
        normalization=normalization,
        **options,
    )


def with_any_factors(*blocks):
    """Returns a model of blocks whose normalisations scale and shift."""
    inputs = x = keras.Input((None, 16))
    for block in blocks:
        x = block(x)
    model = keras.Model(inputs, x)
    for seed, weight in enumerate(model.weights):
        center = float(weight.name in FACTORS)
        weight.assign(center + numbers(*weight.shape, seed=seed) / 4)
    return model


@pytest.mark.parametrize("normalize_first", [True, False])
@pytest.mark.parametrize(
    "normalization",
    ["layer", "rms", keras.layers.LayerNormalization(center=False)],
)
@pytest.mark.parametrize("use_bias", [True, False])
def test_matrices_take_over_normalizations(
    normalization, normalize_first, use_bias
):
    block = decoder_block(
        normalization, normalize_first=normalize_first, use_bias=use_bias
    )
    model = with_any_factors(block)
    x = tf.constant(numbers(2, 3, 16))
    after, error = with_eight_bits(model, x)
    assert 0 < error < 0.02

    @tf.function(autograph=False)
    def step(x):
        with kbm.layers.DecodingScope(8, kernels=StepKernels()):
            return model(x)

    np.testing.assert_allclose(step(x), after, 1e-4, 1e-4)
    traced = step.get_concrete_function(tf.TensorSpec([None, 3, 16]))
    read = {id(variable.handle) for variable in traced.graph.variables}
    factors = [w for w in model.weights if w.name in (*FACTORS, "beta")]
    found = [id(factor.value.handle) in read for factor in factors]
    assert factors and all(found) != normalize_first


@pytest.mark.parametrize("others", [[], ["block"], ["itself"]])
def test_a_part_that_others_use_takes_over_nothing(others):
    network = kbm.layers.FeedForward(24)
    block = decoder_block("layer", network)
    more = {"block": decoder_block("layer", network), "itself": network}
    model = with_any_factors(block, *map(more.get, others))
    x = tf.constant(numbers(2, 3, 16))
    _, error = with_eight_bits(model, x)
    assert 0 < error < 0.02
    assert "call" in vars(block.self_attention_normalization)
    found = "call" in vars(block.feed_forward_normalization)
    assert found != bool(others)


def test_experts_keep_their_normalization():
    experts = kbm.layers.MixtureOfExperts(2, 24, 1)
    block = decoder_block("rms", experts)
    eight_bit_layers.use_eight_bits(with_any_factors(block))
    assert "call" not in vars(block.feed_forward_normalization)
