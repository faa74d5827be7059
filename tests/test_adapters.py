"""Low-rank adapters."""

import keras
import numpy as np
import pytest

import keras_bigmodel as kbm

IDS = np.array([[3, 5, 7, 2], [2, 3, 5, 1]])


def new_model():
    return kbm.models.decoder_lm(11, 7, 2, 2, 8, 5, gated=True, dropout=0.1)


def train(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss)
    return model.fit(IDS, IDS, epochs=5, verbose=0).history["loss"]


def outputs(model):
    return keras.ops.convert_to_numpy(model(IDS))


def test_new_adapters_change_nothing():
    model = new_model()
    before = outputs(model)
    assert kbm.lora(model, 3) is model
    np.testing.assert_array_equal(outputs(model), before)
    shapes = {tuple(v.shape) for v in model.trainable_variables}
    assert shapes == {(8, 3), (3, 8)}
    assert len(model.trainable_variables) == 2 * 2 * 2


def test_only_adapters_train():
    model = kbm.lora(new_model(), 3, targets=["key", "output", "gate", "down"])
    trained = {id(variable) for variable in model.trainable_variables}
    before = [keras.ops.convert_to_numpy(v) for v in model.variables]
    losses = train(model)
    assert losses[-1] < losses[0]
    for variable, value in zip(model.variables, before, strict=True):
        if "seed" in variable.path:
            continue
        same = np.array_equal(keras.ops.convert_to_numpy(variable), value)
        assert same == (id(variable) not in trained), variable.path


def test_merged_adapters_stay(tmp_path):
    model = kbm.lora(new_model(), 3, alpha=6.0)
    count = len(model.variables)
    train(model)
    after = outputs(model)
    kbm.merge_lora(model)
    np.testing.assert_allclose(outputs(model), after, atol=1e-5)
    assert len(model.variables) == count - 8
    path = tmp_path / "model.keras"
    model.save(path)
    again = keras.saving.load_model(path)
    np.testing.assert_array_equal(outputs(again), outputs(model))
    losses = train(model)
    assert losses[-1] < losses[0]


def test_alpha_is_the_strength():
    model = kbm.lora(new_model(), 2, targets=["query"], alpha=6.0)
    layer = model.get_layer("decoder_block_0").self_attention.query_projection
    base = keras.ops.convert_to_numpy(layer._kernel)
    a, b = np.ones((8, 2)), np.full((2, 8), 0.5)
    layer.lora_kernel_a.assign(a)
    layer.lora_kernel_b.assign(b)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer.kernel), base + 3 * a @ b, atol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "Received: rank=0"),
        ({"rank": 2.5}, "Received: rank=2.5"),
        ({"targets": ["querry"]}, r"'query'.*Received: targets=\['querry'\]"),
        ({"targets": []}, r"Received: targets=\[\]"),
        ({"targets": "query"}, "Received: targets='query'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        kbm.lora(new_model(), **arguments)


def test_adapters_on_adapters():
    model = kbm.lora(new_model(), 2)
    with pytest.raises(ValueError, match="has adapters already"):
        kbm.lora(model, 2)


def test_nothing_to_merge():
    with pytest.raises(ValueError, match="has no adapters"):
        kbm.merge_lora(new_model())


def test_generation_goes_with_the_adapters():
    """What was compiled before adapters came knows nothing of them."""
    model = kbm.models.decoder_lm(97, 32, 2, 4, 32, tie_embeddings=False)
    prompt, options = [[3, 5, 7]], {"max_new_tokens": 6}
    before = kbm.generate(model, prompt, **options)
    kbm.lora(model, 4, ["query", "value", "up", "down"], alpha=400)
    generator = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(generator.normal(size=weight.shape))
    adapted = kbm.generate(model, prompt, **options)
    assert adapted != before
    kbm.merge_lora(model)
    assert kbm.generate(model, prompt, **options) == adapted
