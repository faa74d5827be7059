import keras
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.export import eight_bit, weights

IDS = np.array([[3, 5, 7, 11, 13]], "int32")


def language_model():
    return kbm.models.decoder_lm(29, 31, 2, 2, 8, position_encoding="learned")


def test_float32_is_the_model_itself():
    model = language_model()
    assert weights.with_weights(model, "float32") is model


@pytest.mark.parametrize(
    ("kind", "error"), [("bfloat16", 0.05), ("int8", 0.05)]
)
def test_a_copy_is_near_and_the_model_stays(kind, error):
    if kind == "int8" and not eight_bit.has_kernel():
        pytest.skip("this build of TensorFlow has no _QuantizedMatMul")
    model = language_model()
    before = np.asarray(model(IDS))
    copy = weights.with_weights(model, kind)
    after = np.asarray(keras.ops.cast(copy(IDS), "float32"))
    found = np.linalg.norm(after - before) / np.linalg.norm(before)
    assert 0 < found < error
    np.testing.assert_array_equal(model(IDS), before)


def test_bfloat16_is_everywhere():
    copy = weights.with_weights(language_model(), "bfloat16")
    floats = {v.dtype for v in copy.variables if "float" in v.dtype}
    assert floats == {"bfloat16"}
    assert copy(IDS).dtype == "bfloat16"


def test_layers_within_layers_are_changed():
    inputs = keras.Input((None, 8))
    block = kbm.layers.DecoderBlock(
        2,
        13,
        position_encoding=kbm.layers.RelativePositionEncoding(num_heads=2),
    )
    model = keras.Model(inputs, block(inputs))
    copy = weights.with_weights(model, "bfloat16")
    assert {v.dtype for v in copy.weights} == {"bfloat16"}


def test_unknown_weights():
    with pytest.raises(ValueError, match="one of.*Received: weights='int4'"):
        weights.with_weights(language_model(), "int4")


def test_a_build_without_the_kernel(monkeypatch):
    monkeypatch.setattr(eight_bit, "has_kernel", lambda: False)
    with pytest.raises(ValueError, match="no products.*Received: weights="):
        weights.with_weights(language_model(), "int8")


def test_nothing_to_have_eight_bits():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.ReLU()(inputs))
    with pytest.raises(ValueError, match="no Dense layer.*Received: weights="):
        weights.with_weights(model, "int8")


def test_adapters_must_be_merged():
    model = kbm.lora(language_model(), rank=2)
    with pytest.raises(ValueError, match="merge adapters.*Received: model="):
        weights.with_weights(model, "bfloat16")
