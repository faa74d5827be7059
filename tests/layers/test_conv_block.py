"""The convolutional block."""

import numpy as np
import pytest

from keras_bigmodel.layers import ConvBlock
from tests.layer_checks import check_layer
from tests.layers.test_activations import FORMULAS

X = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype("float32")


def convolve(x, kernel, bias, strides):
    """ "Same" padding, pixel by pixel."""
    size = len(kernel)
    lengths = [-(-length // strides) for length in x.shape[1:3]]
    padding = [
        max((out - 1) * strides + size - length, 0)
        for out, length in zip(lengths, x.shape[1:3], strict=True)
    ]
    padded = np.pad(
        x, [(0, 0), *((p // 2, p - p // 2) for p in padding), (0, 0)]
    )
    y = np.zeros((len(x), *lengths, kernel.shape[-1]))
    for i, j in np.ndindex(*lengths):
        top, left = i * strides, j * strides
        window = padded[:, top : top + size, left : left + size]
        y[:, i, j] = np.tensordot(window, kernel, 3) + bias
    return y


def normalize(y, weights, name, kind):
    if kind is None:
        return y
    part = f"{name}_normalization"
    gamma, beta = weights[f"{part}/gamma"], weights[f"{part}/beta"]
    if kind == "batch":
        mean = weights[f"{part}/moving_mean"]
        variance = weights[f"{part}/moving_variance"]
    else:
        mean = y.mean(axis=-1, keepdims=True)
        variance = y.var(axis=-1, keepdims=True)
    return (y - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def reference(x, weights, kind, sizes=(3,), strides=1, activation="relu"):
    f = np.vectorize(FORMULAS[activation])

    def stage(name, x, sizes, strides):
        branches = [
            convolve(
                x,
                weights[f"{name}_convolution_{size}/kernel"],
                weights.get(f"{name}_convolution_{size}/bias", 0),
                strides,
            )
            for size in sizes
        ]
        y = np.concatenate(branches, axis=-1)
        return normalize(y, weights, name, kind)

    y = stage("first", x, sizes, strides)
    if any(path.startswith("second") for path in weights):
        y = stage("second", f(y), sizes, 1)
        if any(path.startswith("shortcut") for path in weights):
            x = stage("shortcut", x, (1,), strides)
        y = y + x
    return f(y)


@pytest.mark.parametrize(
    ("options", "output_shape"),
    [
        ({"filters": 4}, (2, 5, 7, 4)),
        (
            {
                "filters": 4,
                "strides": 2,
                "residual": True,
                "normalization": "layer",
                "activation": "silu",
            },
            (2, 3, 4, 4),
        ),
        (
            {
                "filters": 6,
                "kernel_size": [1, 3],
                "normalization": None,
                "residual": True,
            },
            (2, 5, 7, 6),
        ),
    ],
)
def test_all_checks(options, output_shape):
    kind = options.get("normalization", "batch")

    def expected(x, weights):
        return reference(
            x,
            weights,
            kind,
            options.get("kernel_size", (3,)),
            options.get("strides", 1),
            options.get("activation", "relu"),
        )

    check_layer(
        ConvBlock,
        options,
        X,
        output_shape,
        expected,
        sequence_axes=(1, 2),
        training_differs=kind == "batch",
    )


def test_a_shortcut_of_the_same_shape_has_no_weights():
    layer = ConvBlock(3, residual=True, normalization=None)
    y = layer(X)
    assert not any("shortcut" in weight.path for weight in layer.weights)
    for weight in layer.weights:
        weight.assign(0 * weight.value)
    np.testing.assert_allclose(layer(X), np.maximum(X, 0))
    assert np.abs(y - layer(X)).max() > 0.01


def test_batch_statistics_move_in_training():
    layer = ConvBlock(4)
    before = np.asarray(layer(X))
    layer(X, training=True)
    assert np.abs(layer(X) - before).max() > 0.001


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "filters=0"),
        (
            {"filters": 4, "kernel_size": (1, 3, 5)},
            r"filters=4, kernel_size=\(1, 3, 5\)",
        ),
        ({"filters": 4, "kernel_size": ()}, r"kernel_size=\(\)"),
        ({"filters": 4, "normalization": "group"}, "normalization='group'"),
        ({"filters": 4, "activation": "swish"}, "activation='swish'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvBlock(**arguments)
