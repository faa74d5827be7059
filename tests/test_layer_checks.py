"""The layer checks: each one catches the layer that is broken there."""

import keras
import numpy as np
import pytest
from keras import ops

from tests import layer_checks
from tests.layer_checks import check_layer

X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
register = keras.saving.register_keras_serializable("test_layer_checks")


@register
class Sound(keras.layers.Layer):
    """y = dropout(x) @ kernel, and nothing wrong with it."""

    def __init__(self, units, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.supports_masking = True

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], self.units)
        )

    def call(self, x, training=None):
        x = self.dropout(x, training=training)
        return ops.matmul(x, self.kernel)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "dropout": self.dropout.rate,
        }


@register
class BuiltWhenCalled(Sound):
    def __init__(self, units, dropout=0.0, **kwargs):
        super().__init__(units, dropout, **kwargs)
        self.inner = keras.layers.Dense(units, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.built = True

    def call(self, x, training=None):
        return self.inner(self.dropout(x, training=training))


@register
class ForgetfulConfig(Sound):
    def get_config(self):
        config = super().get_config()
        del config["dropout"]
        return config


@register
class UnsavedState(Sound):
    def build(self, input_shape):
        super().build(input_shape)
        self.drawn = float(keras.random.uniform(()))

    def call(self, x, training=None):
        return super().call(x, training) + self.drawn


@register
class RowsMixed(Sound):
    def call(self, x, training=None):
        return super().call(x - ops.mean(x, axis=0), training)


@register
class MaskIgnored(Sound):
    def call(self, x, training=None):
        return super().call(x - ops.mean(x, axis=1, keepdims=True), training)


@register
class AlwaysFloat32(Sound):
    def call(self, x, training=None):
        return ops.cast(super().call(x, training), "float32")


@register
class OtherwiseWhenTraced(Sound):
    def call(self, x, training=None):
        try:
            np.asarray(x)
        except (NotImplementedError, TypeError):
            x = 2 * x
        return super().call(x, training)


@register
class NoGradient(Sound):
    def call(self, x, training=None):
        return ops.stop_gradient(super().call(x, training))


@register
class WrongFormula(Sound):
    def call(self, x, training=None):
        return 1.001 * super().call(x, training)


@register
class AlwaysDrops(Sound):
    def call(self, x, training=None):
        return super().call(x, training=True)


@register
class OtherwiseOfUnknownLength(Sound):
    def call(self, x, training=None):
        if x.shape[1] is None:
            x = 2 * x
        return super().call(x, training)


@register
class PositionsForgotten(Sound):
    def call(self, x, training=None):
        positions = ops.arange(ops.shape(x)[1], dtype=x.dtype)
        return super().call(x, training) * (1 + positions[:, None])


def sound(x, weights):
    return x @ weights["kernel"]


def without_formula(x, weights):
    return x @ weights["kernel"] * (1 + np.arange(5.0))[:, None]


def check(layer_cls, reference=sound):
    check_layer(layer_cls, {"units": 7}, X, (2, 5, 7), reference, stateful=True)


def test_a_sound_layer_passes():
    check(Sound)


@pytest.mark.parametrize(
    ("number", "layer_cls"),
    [
        (1, BuiltWhenCalled),
        (2, ForgetfulConfig),
        (3, UnsavedState),
        (4, RowsMixed),
        (5, MaskIgnored),
        (6, AlwaysFloat32),
        (7, OtherwiseWhenTraced),
        (8, NoGradient),
        (9, WrongFormula),
        (10, AlwaysDrops),
        pytest.param(
            11, OtherwiseOfUnknownLength, marks=pytest.mark.tensorflow
        ),
        (12, PositionsForgotten),
    ],
)
def test_a_broken_layer_is_caught(number, layer_cls):
    reference = without_formula if number == 12 else sound
    with pytest.raises(AssertionError, match=rf"^check {number} \("):
        check(layer_cls, reference)


def test_equal_sizes_are_caught():
    x = np.ones((2, 3, 3), "float32")
    with pytest.raises(AssertionError, match="check 9 .*equal sizes"):
        check_layer(Sound, {"units": 7}, x, (2, 3, 7), sound)


def test_a_wrong_output_shape_is_caught():
    with pytest.raises(AssertionError, match="check 1 .*output shape"):
        check_layer(Sound, {"units": 7}, X, (2, 7, 5), sound)


def test_there_are_twelve():
    assert len(layer_checks.CHECKS) == 12
