"""The twelve checks that every layer passes."""

import inspect
import json
import pathlib
import tempfile

import keras
import numpy as np
from keras import ops

from keras_bigmodel.layers.decoding import DecodingScope
from tests.layer_case import (
    GiveMask,
    LayerCase,
    SeeMask,
    to_numpy,
    variables_of,
    weights_below,
)

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
if ON_TENSORFLOW:
    import tensorflow as tf
else:
    import jax

# How far a policy's output may be from float32's, relative to its largest
# value: a few roundings of 11 and 8 significant bits.
POLICY_TOLERANCES = {
    "mixed_float16": 0.01,
    "mixed_bfloat16": 0.06,
    "bfloat16": 0.08,
}


def check_layer(
    layer_cls,
    init_kwargs,
    inputs,
    output_shape,
    reference=None,
    stateful=False,
    **options,
):
    """Asserts what every layer promises.

    Args:
        layer_cls: The layer's class.
        init_kwargs: Its arguments.
        inputs: An array, or a dict of `call`'s tensor arguments by name, the
            first of them first.
        output_shape: The shape of the output for these inputs.
        reference: `reference(inputs, weights) -> output` in float64 NumPy;
            `inputs` as given here, `weights` a dict by path below the layer,
            such as "up/kernel".
        stateful: Whether the layer carries state through a `DecodingScope`.
        **options: The further fields of `LayerCase`.

    Raises:
        AssertionError: "check N (...)": what was found.
    """
    if not isinstance(inputs, dict):
        names = list(inspect.signature(layer_cls.call).parameters)
        inputs = {names[1]: inputs}
    case = LayerCase(
        layer_cls,
        init_kwargs,
        inputs,
        tuple(output_shape),
        reference,
        stateful,
        **options,
    )
    for number, check in enumerate(CHECKS, start=1):
        keras.utils.set_random_seed(number)
        try:
            check(case)
        except Exception as error:
            title = check.__name__.removeprefix("check_").replace("_", " ")
            raise AssertionError(
                f"check {number} ({title}): {error}"
            ) from error


def assert_near(actual, expected, tolerance, what):
    np.testing.assert_allclose(
        to_numpy(actual),
        to_numpy(expected),
        rtol=tolerance,
        atol=tolerance,
        err_msg=what,
    )


def check_build(case):
    """`build` alone, a symbolic and an eager call agree."""

    def described(layer):
        return [
            (weight.path, tuple(weight.shape), str(weight.dtype))
            for weight in layer.weights
        ]

    alone, symbolic, eager = case.build(case.make()), case.make(), case.make()
    promised = case.call(
        symbolic,
        {
            name: keras.KerasTensor(x.shape, dtype=str(x.dtype))
            for name, x in case.inputs.items()
        },
    )
    found = case.call(eager)
    assert described(alone) == described(eager), "build alone differs"
    assert described(symbolic) == described(eager), "symbolic call differs"
    assert tuple(found.shape) == case.output_shape, "output shape"
    assert tuple(promised.shape) == case.output_shape, "symbolic shape"
    assert promised.dtype == keras.backend.standardize_dtype(found.dtype)


def check_config(case):
    """The config names every argument and rebuilds the layer."""
    layer = case.make()
    config = layer.get_config()
    text = json.dumps(config)
    parameters = inspect.signature(case.layer_cls.__init__).parameters
    lost = {
        name
        for name, parameter in parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    } - {"self", *config}
    assert not lost, f"arguments missing in the config: {sorted(lost)}"
    for name, value in case.init_kwargs.items():
        if isinstance(value, (bool, int, float)):
            assert config[name] == value, f"config of {name!r}"
    again = case.layer_cls.from_config(json.loads(text))
    assert json.dumps(again.get_config()) == text, "before build"
    case.build(again)
    assert _without_build_config(again.get_config()) == _without_build_config(
        json.loads(text)
    ), "after build"
    if case.layer_cls.__module__.startswith("keras_bigmodel"):
        name = keras.saving.get_registered_name(case.layer_cls)
        assert name == f"keras_bigmodel>{case.layer_cls.__name__}"


def _without_build_config(config):
    """Leaves out what Keras adds to the config of a built part."""
    if not isinstance(config, dict):
        return config
    return {
        name: _without_build_config(value)
        for name, value in config.items()
        if name != "build_config"
    }


def check_save_and_reload(case):
    """A `.keras` file gives back the same bits."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model = case.model(case.layer)
        model.save(path)
        reloaded = keras.models.load_model(path)
    np.testing.assert_array_equal(
        to_numpy(reloaded(case.inputs)), to_numpy(model(case.inputs))
    )


def check_free_shapes(case):
    """`None` batch and sequence, batch 1 and length 1."""
    model = case.model(case.layer)
    for found, expected in zip(
        model.output.shape, case.output_shape, strict=True
    ):
        assert found in (None, expected), f"static {model.output.shape}"
    eager = case.call(case.layer)
    assert_near(model(case.inputs), eager, 1e-6, "with free axes")
    one = {name: x[:1] for name, x in case.inputs.items()}
    alone = case.run(case.layer, one)
    assert_near(
        alone, case.output[:1], 1e-5, "batch 1: rows are not independent"
    )
    short = {}
    for name, x in case.inputs.items():
        for axis in case.sequence_axes:
            if axis < x.ndim:
                x = np.take(x, [0], axis=axis)
        short[name] = x
    y = to_numpy(case.run(case.layer, short))
    assert len(y) == case.output_shape[0], f"length 1: {y.shape}"
    assert np.isfinite(y).all(), "length 1: not finite"


def check_masks(case):
    """Masked positions are invisible; the output's mask is as declared."""
    masks = case.masks
    if masks is None:
        if not case.layer.supports_masking or 1 not in case.sequence_axes:
            return
        visible = np.ones(case.inputs[case.first].shape[:2], "bool")
        visible[0, -2:] = False
        visible[1, :1] = False
        masks = {case.first: visible}
    generator = np.random.default_rng(6)
    outputs = []
    for changes in (False, True):
        inputs = dict(case.inputs)
        for name, visible in masks.items():
            x = inputs[name]
            if changes:
                shown = visible.reshape(visible.shape + (1,) * (x.ndim - 2))
                x = np.where(
                    shown, x, generator.permutation(x.ravel()).reshape(x.shape)
                )
            inputs[name] = GiveMask(visible)(x)
        y, see = case.call(case.layer, inputs), SeeMask()
        see(y)
        outputs.append(to_numpy(y))
    expected = case.output_mask
    if isinstance(expected, str):
        expected = masks[expected if expected != "first" else case.first]
    if expected is None:
        assert see.seen is None, "the output has a mask"
        shown = np.ones(outputs[0].shape[:1], "bool")
    else:
        assert see.seen is not None, "the output has no mask"
        np.testing.assert_array_equal(see.seen, expected, "output mask")
        shown = np.asarray(expected)
    np.testing.assert_allclose(
        outputs[1][shown],
        outputs[0][shown],
        atol=1e-6,
        err_msg="masked positions change visible outputs",
    )


def check_dtype_policies(case):
    """Low precision is finite, of the declared dtype and near float32."""
    expected = to_numpy(case.output)
    for policy, tolerance in POLICY_TOLERANCES.items():
        layer = case.make_like(dtype=policy)
        y = case.run(layer)
        dtype = keras.backend.standardize_dtype(y.dtype)
        assert dtype == (case.output_dtype or layer.compute_dtype), policy
        y = to_numpy(y)
        assert np.isfinite(y).all(), f"{policy}: not finite"
        distance = np.abs(y - expected).max() / np.abs(expected).max()
        assert distance < tolerance, f"{policy}: off by {distance:.2g}"


def check_compiled(case):
    """Eager, traced and XLA-compiled calls agree."""
    if not ON_TENSORFLOW:
        assert_near(case.output, case.call(case.layer), 1e-5, "jax.jit")
        return
    inputs = {name: tf.constant(x) for name, x in case.inputs.items()}
    for jit in (False, True):
        function = tf.function(
            lambda x: case.call(case.layer, x), jit_compile=jit
        )
        assert_near(function(inputs), case.output, 1e-5, f"{jit=}")


def _gradients(case, probe):
    """Returns d sum(output * probe) / d weight for each trainable weight."""
    layer = case.layer

    def loss_of(y, losses):
        return ops.sum(ops.cast(y, "float32") * probe) + sum(losses)

    if ON_TENSORFLOW:
        with tf.GradientTape() as tape:
            loss = loss_of(case.call(layer), layer.losses)
        weights = [weight.value for weight in layer.trainable_weights]
        found = tape.gradient(loss, weights)
        return [None if g is None else tf.convert_to_tensor(g) for g in found]

    model = case.model(layer)

    def loss(trainable, other):
        y, _, losses = model.stateless_call(
            trainable, other, case.inputs, return_losses=True
        )
        return loss_of(y, losses)

    return jax.jit(jax.grad(loss))(*variables_of(model))


def check_training(case):
    """Every weight gets a gradient; one `fit` step runs."""
    probe = np.random.default_rng(7).normal(size=case.output_shape)
    gradients = _gradients(case, probe.astype("float32"))
    for weight, gradient in zip(
        case.layer.trainable_weights, gradients, strict=True
    ):
        assert gradient is not None, f"no gradient for {weight.path}"
        gradient = to_numpy(gradient)
        assert np.isfinite(gradient).all(), f"gradient of {weight.path}"
        if not weight.path.endswith(tuple(case.zero_gradients)):
            assert np.abs(gradient).max() > 0, f"zero for {weight.path}"
    if not gradients:
        return
    model = case.model(case.make_like())
    model.compile("sgd", "mse", jit_compile=not ON_TENSORFLOW)
    history = model.fit(case.inputs, probe, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all(), "loss of fit"


def check_reference(case):
    """The output is what float64 NumPy computes."""
    for name, x in case.inputs.items():
        large = [length for length in x.shape if length > 1]
        assert len(set(large)) == len(large), f"equal sizes in {name}"
    if case.reference is None:
        return
    inputs = {
        name: x.astype("float64") if x.dtype.kind == "f" else x
        for name, x in case.inputs.items()
    }
    given = inputs if len(inputs) > 1 else inputs[case.first]
    expected = case.reference(given, weights_below(case.layer))
    assert expected.dtype == np.float64, f"reference in {expected.dtype}"
    np.testing.assert_allclose(
        to_numpy(case.output),
        expected,
        rtol=case.tolerance,
        atol=case.tolerance,
    )


def check_dropout(case):
    """Dropout in training only; the same seed draws the same."""
    plain = to_numpy(case.call(case.layer))
    trained = to_numpy(case.call(case.make_like(), training=True))
    if not case.training_differs:
        np.testing.assert_array_equal(trained, plain, "training, no dropout")
    parameters = inspect.signature(case.layer_cls.__init__).parameters
    for name in parameters:
        if "drop" not in name and name != "stochastic_depth":
            continue
        drawn = []
        for _ in range(2):
            keras.utils.set_random_seed(3)
            layer = case.make_like(**{name: 0.5})
            calm = to_numpy(case.call(layer, training=False))
            # Keras's recurrent cells compute another way with dropout.
            assert_near(calm, plain, 1e-6, f"{name}: outside training")
            drawn.append(
                [to_numpy(case.call(layer, training=True)) for _ in range(7)]
            )
        np.testing.assert_array_equal(*drawn, f"{name}: same seed")
        assert any(not np.array_equal(y, trained) for y in drawn[0]), (
            f"{name}: drops nothing in training"
        )


def check_saved_model(case):
    """A reloaded SavedModel computes the same (TensorFlow backend)."""
    if not ON_TENSORFLOW:
        return
    model = case.model(case.layer)
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        served = tf.saved_model.load(folder)
        inputs = {k: tf.constant(x) for k, x in case.inputs.items()}
        y = served.serve(inputs)
    assert_near(y, case.output, 1e-6, "reloaded SavedModel")


def check_decoding(case):
    """A stateful layer gives the same whole, in chunks and by the token."""
    if not case.stateful:
        return
    length = case.inputs[case.first].shape[1]
    half = length // 2
    for sizes in ([length], [half, length - half], [1] * length):
        scope, outputs, start = DecodingScope(max_length=length), [], 0
        for size in sizes:
            inputs = dict(case.inputs)
            for name in (case.first, *case.stepped):
                inputs[name] = inputs[name][:, start : start + size]
            with scope:
                outputs.append(case.call(case.layer, inputs))
            start += size
        y = ops.concatenate(outputs, axis=1)
        assert_near(y, case.output, 1e-5, f"steps of {sizes}")


CHECKS = (
    check_build,
    check_config,
    check_save_and_reload,
    check_free_shapes,
    check_masks,
    check_dtype_policies,
    check_compiled,
    check_training,
    check_reference,
    check_dropout,
    check_saved_model,
    check_decoding,
)
