"""What every builder's model promises, checked on all of them alike."""

import keras
import numpy as np
import pytest
from keras import ops

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


@every_builder
def test_learns_under_callbacks(case, tmp_path):
    optimizer = keras.optimizers.Lion(0.003)
    model = case.compiled(case.build(), optimizer, jit_compile=False)
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
