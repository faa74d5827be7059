"""GPT-2."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_bigmodel as kbm
from tests.huggingface import family_checks
from tests.huggingface.conftest import change, tensors_of

pytestmark = pytest.mark.tensorflow


@family_checks.each_case("gpt2")
def test_outputs_and_round_trip(family, variant, unpack):
    family_checks.check_family(*unpack(family, variant))


@family_checks.last_case("gpt2")
def test_greedy_generation(family, variant, unpack):
    folder, expected = unpack(family, variant)
    family_checks.check_generation(folder, expected, family, variant)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"scale_attn_by_inverse_layer_idx": True}, "as False alone"),
        ({"add_cross_attention": True}, "as False alone"),
        ({"scale_attn_weights": 1}, "true or false"),
    ],
)
def test_unsupported(entries, message, unpack):
    folder, _ = unpack("gpt2", "plain")
    change(folder, **entries)
    with pytest.raises(ValueError, match=message):
        kbm.huggingface.load(folder)


def test_masks_and_a_tied_copy_of_old_releases(unpack):
    """GPT-2's own release has masks, and names without a start."""
    folder, expected = unpack("gpt2", "plain")
    tensors = {
        name.removeprefix("transformer."): value.astype("float32")
        for name, value in tensors_of(folder).items()
    }
    tensors["h.0.attn.bias"] = np.ones((1, 1, 13, 13), "float32")
    tensors["h.1.attn.masked_bias"] = np.array(-1e4, "float32")
    tensors["lm_head.weight"] = tensors["wte.weight"].copy()
    save_file(tensors, folder / "model.safetensors")
    model, _ = kbm.huggingface.load(folder)
    outputs = family_checks.outputs_of(model, expected)["logits"]
    visible = expected["mask"]
    np.testing.assert_allclose(
        outputs[visible], expected["logits"][visible], atol=1e-4
    )
    tensors["lm_head.weight"][3, 5] += 1
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match="surplus: lm_head.weight"):
        kbm.huggingface.load(folder)
