"""What every builder's model promises, checked on all of them alike."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

import keras_bigmodel as kbm
from keras_bigmodel.layers import DecodingScope, encoder_and_decoder
from tests.models.cases import CASES

BUILDERS = [case for case in CASES if not case.variant]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
every_builder = pytest.mark.parametrize(
    "case", BUILDERS, ids=lambda case: case.name
)


def taken(inputs, index):
    return keras.tree.map_structure(lambda x: x[index], inputs)


def tensors(inputs):
    return keras.tree.map_structure(ops.convert_to_tensor, inputs)


def outputs(model, inputs):
    return ops.convert_to_numpy(ops.cast(model(tensors(inputs)), "float32"))


@every_case
def test_forward(case):
    keras.utils.set_random_seed(7)
    model = case.build()
    inputs, _ = case.rows(5)
    found = outputs(model, inputs)
    assert found.shape == (5, *case.output_shape)
    assert model.output.shape[0] is None
    assert model.output.shape[-1] in (None, case.output_shape[-1])
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(outputs(model, inputs), found)
    # A row does not depend on its neighbours.
    alone = outputs(model, taken(inputs, slice(3, 4)))
    np.testing.assert_allclose(alone, found[3:4], atol=1e-5)
    keras.utils.set_random_seed(7)
    np.testing.assert_array_equal(outputs(case.build(), inputs), found)


@every_case
def test_layer_names_are_readable(case):
    for layer in case.build().layers:
        assert not layer.name.startswith(("keras_tensor", "layer", "dense_"))


@every_case
def test_saves_and_reloads_to_the_bit(case, tmp_path):
    model = case.build(dtype="mixed_bfloat16")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    inputs, _ = case.rows(3)
    np.testing.assert_array_equal(
        outputs(again, inputs), outputs(model, inputs)
    )
    assert again.count_params() == model.count_params()
    assert [layer.name for layer in again.layers] == [
        layer.name for layer in model.layers
    ]
    assert {layer.dtype_policy.name for layer in again.layers} == {
        layer.dtype_policy.name for layer in model.layers
    }


@pytest.mark.tensorflow
@every_case
def test_exports_what_it_computes(case, tmp_path):
    import tensorflow as tf

    model = case.build()
    folder = kbm.export_saved_model(
        model, tmp_path / "model", task="arrays", prove=False
    )
    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    inputs, _ = case.rows(3)
    named = inputs
    if not isinstance(inputs, dict):
        named = {model.inputs[0].name: inputs}
    dtypes = {tensor.name: tensor.dtype for tensor in model.inputs}
    cast = {name: tf.cast(x, dtypes[name]) for name, x in named.items()}
    (found,) = served(**cast).values()
    np.testing.assert_allclose(found, outputs(model, inputs), atol=1e-5)


@every_case
def test_mixed_precision_is_near_and_trains(case):
    model, mixed = case.build(), case.build(dtype="mixed_bfloat16")
    mixed.set_weights(model.get_weights())
    inputs, labels = case.rows(4)
    expected = outputs(model, inputs)
    assert keras.backend.standardize_dtype(mixed.output.dtype) == "bfloat16"
    difference = np.abs(outputs(mixed, inputs) - expected).max()
    assert difference <= 0.06 * np.abs(expected).max() + 1e-3
    case.compiled(mixed, run_eagerly=keras.backend.backend() == "tensorflow")
    assert np.isfinite(mixed.train_on_batch(inputs, labels))


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.generates],
    ids=lambda case: case.name,
)
def test_in_steps_as_in_whole(case):
    model = case.build()
    inputs, _ = case.rows(3)
    expected = outputs(model, inputs)
    step, passed = model, None
    if case.generates == "seq2seq":
        encoder, step = encoder_and_decoder(model)
        passed = encoder(ops.array(inputs["source_ids"]))
        inputs = inputs["target_ids"]
    scope = DecodingScope(max_length=inputs.shape[1])
    found = []
    for index in range(inputs.shape[1]):
        ids = ops.array(inputs[:, index : index + 1])
        if passed is not None:
            ids = {"target_ids": ids, **passed}
        with scope:
            found.append(ops.convert_to_numpy(step(ids)))
    np.testing.assert_allclose(np.concatenate(found, 1), expected, atol=1e-5)


@pytest.mark.parametrize(
    "case",
    [case for case in BUILDERS if case.generates],
    ids=lambda case: case.name,
)
def test_generates_what_is_likeliest(case):
    model = case.build()
    inputs, _ = case.rows(1)
    if case.generates == "lm":
        prompt = tokens = [int(token) for token in inputs[0, :3]]
        found = kbm.generate(model, prompt, max_new_tokens=4)
    else:
        prompt, tokens = [int(token) for token in inputs["source_ids"][0]], [1]
        found = kbm.generate(model, prompt, start_id=1, max_new_tokens=4)
    for token in found:
        read = np.array([tokens])
        if case.generates == "seq2seq":
            read = {"source_ids": np.array([prompt]), "target_ids": read}
        assert token == outputs(model, read)[0, -1].argmax()
        tokens = [*tokens, token]
    assert len(found) == 4


@every_builder
def test_learns_under_callbacks(case, tmp_path):
    name, rate = case.optimizer
    optimizer = keras.optimizers.get(
        {"class_name": name, "config": {"learning_rate": rate}}
    )
    # JAX without compiling takes minutes for what compiled takes seconds.
    jit_compile = keras.backend.backend() == "jax"
    model = case.compiled(case.build(), optimizer, jit_compile=jit_compile)
    held_out = case.rows(64, seed=1)
    path = tmp_path / "best.keras"
    callbacks = [
        keras.callbacks.EarlyStopping(patience=9, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(path, save_best_only=True),
    ]
    if keras.backend.backend() == "tensorflow":
        callbacks.append(keras.callbacks.TensorBoard(tmp_path / "logs"))
    history = model.fit(
        *case.rows(4 * case.steps),
        batch_size=16,
        epochs=4,
        validation_data=held_out,
        validation_batch_size=64,
        callbacks=callbacks,
        verbose=0,
    )
    learnt = min(history.history["val_loss"])
    assert learnt < 0.3 * case.chance(held_out[1])
    best = keras.models.load_model(path)
    np.testing.assert_array_equal(
        outputs(best, held_out[0]), outputs(model, held_out[0])
    )


@every_builder
def test_compiled_by_xla_it_trains_alike(case):
    model = case.build()
    weights = model.get_weights()
    rows = case.rows(2)
    found = []
    for jit_compile in (True, False):
        model.set_weights(weights)
        eager = not jit_compile and keras.backend.backend() == "tensorflow"
        case.compiled(model, jit_compile=jit_compile, run_eagerly=eager)
        found.append([model.train_on_batch(*rows) for _ in range(2)])
    np.testing.assert_allclose(*found, rtol=1e-3)


ON_TWO_REPLICAS = """
import keras, numpy as np, tensorflow as tf
from tests.models.cases import CASES

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for case in CASES:
    if case.variant:
        continue
    # Tracing takes long: of the builders, two stand for the others.
    traced = case.name in ("decoder_lm", "cnn_classifier")
    with strategy.scope():
        model = case.compiled(
            case.build(), jit_compile=False, run_eagerly=not traced
        )
    history = model.fit(*case.rows(4), batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all(), case.name
    for variable in model.trainable_variables:
        one, other = (value.numpy() for value in variable.value.values)
        np.testing.assert_array_equal(one, other)
    print(case.name)
"""


@pytest.mark.tensorflow
def test_trains_on_two_replicas():
    # Devices are divided before TensorFlow starts: in a process of its own.
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO_REPLICAS], capture_output=True, text=True
    )
    assert done.stdout.split() == [case.name for case in BUILDERS], done.stderr
