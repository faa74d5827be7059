"""Vision Transformers."""

import json

import numpy as np
import pytest

import keras_bigmodel as kbm
from tests.huggingface import family_checks
from tests.huggingface.conftest import change

pytestmark = pytest.mark.tensorflow


@family_checks.each_case("vit")
def test_outputs_and_round_trip(family, variant, unpack):
    family_checks.check_family(*unpack(family, variant))


def test_pixels_of_the_preprocessor(unpack):
    folder, expected = unpack("vit", "plain")
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    entries = {"image_mean": mean, "image_std": std, "size": {"height": 8}}
    (folder / "preprocessor_config.json").write_text(json.dumps(entries))
    model, _ = kbm.huggingface.load(folder)
    images = expected["images"]
    # The same pixels, brought to the scale of the other mean and deviation.
    scaled = (images / 255 - 0.5) / 0.5 * std + mean
    np.testing.assert_allclose(
        model(255 * scaled), expected["logits"], atol=1e-4
    )
    again = kbm.huggingface.save(model, None, folder / "again")
    written = json.loads((again / "preprocessor_config.json").read_text())
    np.testing.assert_allclose(written["image_mean"], mean)
    np.testing.assert_allclose(written["image_std"], std)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"do_rescale": False}, "must be true"),
        ({"rescale_factor": 0}, "must be positive"),
        ({"image_mean": "a"}, "must be numbers"),
        ({"mystery": 1}, "mystery is not known"),
    ],
)
def test_wrong_preprocessor(entries, message, unpack):
    folder, _ = unpack("vit", "plain")
    (folder / "preprocessor_config.json").write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=message):
        kbm.huggingface.load(folder)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"image_size": [8]}, "one or two sizes"),
        ({"num_channels": 0}, "must be positive"),
        ({"patch_size": 3}, "Patches must divide"),
    ],
)
def test_unsupported(entries, message, unpack):
    folder, _ = unpack("vit", "plain")
    change(folder, **entries)
    with pytest.raises(ValueError, match=message):
        kbm.huggingface.load(folder)
