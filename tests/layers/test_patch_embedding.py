"""The patch embedding."""

import keras
import numpy as np
import pytest

from keras_bigmodel.layers import PatchEmbedding
from tests.layer_case import weights_below
from tests.layer_checks import check_layer

X = np.random.default_rng(0).normal(size=(2, 4, 9, 5)).astype("float32")


def patches_of(x, size, weights):
    """Row by row, patch by patch."""
    kernel, bias = weights["projection/kernel"], weights["projection/bias"]
    patches = []
    for top in range(0, x.shape[1], size[0]):
        for left in range(0, x.shape[2], size[1]):
            patch = x[:, top : top + size[0], left : left + size[1]]
            patches.append(np.tensordot(patch, kernel, 3) + bias)
    return np.stack(patches, axis=1)


def reference(x, weights, size=(2, 3)):
    y = patches_of(x, size, weights)
    if "distillation_embedding" in weights:
        token = np.broadcast_to(
            weights["distillation_embedding"], (len(x), 1, y.shape[-1])
        )
        y = np.concatenate([token, y], axis=1)
    if "class_embedding" in weights:
        token = np.broadcast_to(
            weights["class_embedding"], (len(x), 1, y.shape[-1])
        )
        y = np.concatenate([token, y], axis=1)
    return y + weights.get("position_embeddings", 0)


@pytest.mark.parametrize(
    ("class_token", "distillation_token", "use_positions"),
    [(True, True, True), (True, False, True), (False, False, False)],
)
def test_all_checks(class_token, distillation_token, use_positions):
    check_layer(
        PatchEmbedding,
        {
            "patch_size": [2, 3],
            "hidden_dim": 11,
            "class_token": class_token,
            "distillation_token": distillation_token,
            "use_positions": use_positions,
        },
        X,
        (2, 6 + class_token + distillation_token, 11),
        reference,
        sequence_axes=(),
    )


def between(table, row, column, shape):
    """Bilinear, from the four neighbours; the border's beyond the border."""
    y = 0
    for r in (int(np.floor(row)), int(np.floor(row)) + 1):
        for c in (int(np.floor(column)), int(np.floor(column)) + 1):
            weight = (1 - abs(row - r)) * (1 - abs(column - c))
            inside = min(max(r, 0), shape[0] - 1), min(max(c, 0), shape[1] - 1)
            y = y + weight * table[inside]
    return y


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("size", [(8, 15), (2, 3), (10, 6)])
def test_positions_of_another_size(class_token, size):
    layer = PatchEmbedding((2, 3), 11, class_token)
    layer(X)
    generator = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(generator.normal(size=weight.shape))
    weights = weights_below(layer)
    table = weights.pop("position_embeddings")
    x = generator.normal(size=(2, *size, 5)).astype("float32")
    patches = table[class_token:].reshape(2, 3, 11)
    down, across = size[0] // 2, size[1] // 3
    positions = [
        between(
            patches,
            (i + 0.5) * 2 / down - 0.5,
            (j + 0.5) * 3 / across - 0.5,
            (2, 3),
        )
        for i in range(down)
        for j in range(across)
    ]
    positions = np.concatenate([table[: int(class_token)], positions])
    expected = reference(x, weights) + positions
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_free_image_sizes():
    inputs = keras.Input((None, None, 5))
    layer = PatchEmbedding((2, 3), 11, image_shape=(4, 9))
    model = keras.Model(inputs, layer(inputs))
    assert model.output.shape == (None, None, 11)
    for size, length in (((4, 9), 7), ((8, 9), 13)):
        x = np.ones((2, *size, 5), "float32")
        np.testing.assert_allclose(
            model.predict(x, verbose=0), layer(x), atol=1e-6
        )
        assert layer(x).shape == (2, length, 11)


def test_the_size_survives_saving(tmp_path):
    inputs = keras.Input((4, 9, 5))
    model = keras.Model(inputs, PatchEmbedding((2, 3), 11)(inputs))
    model.save(tmp_path / "model.keras")
    layer = keras.models.load_model(tmp_path / "model.keras").layers[-1]
    x = np.ones((1, 8, 9, 5), "float32")
    np.testing.assert_array_equal(layer(x), model.layers[-1](x))


def test_one_number_makes_square_patches():
    layer = PatchEmbedding(3, 11, class_token=False)
    x = np.random.default_rng(0).normal(size=(2, 6, 9, 5)).astype("float32")
    y = layer(x)
    expected = reference(x, weights_below(layer), (3, 3))
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_patches_that_do_not_divide_the_image():
    message = r"image size=\(4, 10\), patch_size=\(2, 3\)"
    with pytest.raises(ValueError, match=message):
        PatchEmbedding((2, 3), 11)(keras.Input((4, 10, 5)))
    layer = PatchEmbedding((2, 3), 11)
    layer(X)
    with pytest.raises(ValueError, match=message):
        layer(np.ones((1, 4, 10, 5), "float32"))


def test_positions_of_an_unknown_size():
    message = r"image_shape=None, input_shape=\(None, None, 9, 5\)"
    with pytest.raises(ValueError, match=message):
        PatchEmbedding((2, 3), 11)(keras.Input((None, 9, 5)))


@pytest.mark.parametrize(
    ("patch_size", "hidden_dim"), [(0, 7), ((2, 3, 4), 7), (2, 0)]
)
def test_wrong_arguments(patch_size, hidden_dim):
    with pytest.raises(ValueError, match=f"hidden_dim={hidden_dim}"):
        PatchEmbedding(patch_size, hidden_dim)


def test_a_distillation_token_follows_a_class_token():
    with pytest.raises(ValueError, match="distillation_token=True"):
        PatchEmbedding(3, 11, class_token=False, distillation_token=True)
