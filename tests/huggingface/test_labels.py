"""The names of classes."""

import pytest

import keras_bigmodel as kbm
from keras_bigmodel.huggingface import load_labels
from tests.huggingface.conftest import change

pytestmark = pytest.mark.tensorflow


def test_names_that_classes_share_get_their_number(unpack):
    folder, _ = unpack("vit", "three_heads")
    change(folder, id2label={"0": "crane", "2": "crane", "1": "fox"})
    assert load_labels(folder) == ["crane (0)", "fox", "crane (2)"]


def test_other_models_name_no_classes(unpack):
    folder, _ = unpack("bert", "trunk")
    change(folder, id2label={"0": "LABEL_0", "1": "LABEL_1"})
    assert load_labels(folder) is None
    folder, _ = unpack("vit", "plain")
    change(folder, id2label=None)
    assert load_labels(folder) is None


@pytest.mark.parametrize(
    "labels", [{"1": "a"}, {"0": 7}, ["a"], {"0": "a", "x": "b"}]
)
def test_wrong_names(labels, unpack):
    folder, _ = unpack("vit", "plain")
    change(folder, id2label=labels)
    with pytest.raises(ValueError, match="must name the classes"):
        load_labels(folder)


@pytest.mark.parametrize("labels", [["a"], "abcde", ["a"] * 6])
def test_names_that_cannot_be_saved(labels, unpack, tmp_path):
    model, _ = kbm.huggingface.load(unpack("vit", "plain")[0])
    with pytest.raises(ValueError, match="each of the model's 5 classes"):
        kbm.huggingface.save(model, None, tmp_path / "a", labels=labels)
    assert not (tmp_path / "a").exists()
