"""BERT and its heads."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_bigmodel as kbm
from tests.huggingface import family_checks
from tests.huggingface.conftest import change, tensors_of

pytestmark = pytest.mark.tensorflow


@family_checks.each_case("bert")
def test_outputs_and_round_trip(family, variant, unpack):
    family_checks.check_family(*unpack(family, variant))


def test_names_and_leftovers_of_old_releases(unpack):
    """BERT's own release says gamma and beta, and keeps another task's head."""
    folder, expected = unpack("bert", "masked")
    tensors = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value.astype("float32")
        for name, value in tensors_of(folder).items()
    }
    tensors["cls.seq_relationship.bias"] = np.zeros(2, "float32")
    tensors["bert.pooler.dense.bias"] = np.zeros(12, "float32")
    save_file(tensors, folder / "model.safetensors")
    model, _ = kbm.huggingface.load(folder)
    outputs = family_checks.outputs_of(model, expected)["logits"]
    visible = expected["mask"]
    np.testing.assert_allclose(
        outputs[visible], expected["logits"][visible], atol=1e-4
    )
    tensors["cls.predictions.transform.LayerNorm.bias"] = np.zeros(
        12, "float32"
    )
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match="twice: cls"):
        kbm.huggingface.load(folder)


def test_a_new_head_on_a_loaded_model(unpack):
    folder, _ = unpack("bert", "masked")
    model, _ = kbm.huggingface.load(folder)
    classifier = kbm.models.text_classifier(model, num_classes=3, name="bert")
    assert classifier.output_shape == (None, 3)
    with pytest.raises(ValueError, match="cannot say pooler=False"):
        # BERT's own classifier has a pooler; the mean has none.
        kbm.huggingface.save(classifier, None, folder / "again", "bert")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"architectures": ["BertForNothing"]}, "Bert with one of"),
        ({"position_embedding_type": "relative_key"}, "'absolute' alone"),
        ({"hidden_act": "gelu_new"}, "one of the activations"),
        ({"pad_token_id": "a"}, "an id or null"),
    ],
)
def test_unsupported(entries, message, unpack):
    folder, _ = unpack("bert", "masked")
    change(folder, **entries)
    with pytest.raises(ValueError, match=message):
        kbm.huggingface.load(folder)
