import json

import pytest
import tensorflow as tf
from tokenizers import normalizers

from keras_bigmodel.text.normalizing import normalizer_steps, replaced_string
from tests.text.tokenizers_for_tests import TEXTS


@pytest.mark.parametrize(
    "normalizer",
    [
        normalizers.NFC(),
        normalizers.Prepend("\u2581"),
        normalizers.Replace(" ", "\u2581"),
        normalizers.Replace(".*", "\\1"),
        normalizers.Sequence(
            [normalizers.Prepend("_"), normalizers.Replace(" ", "_")]
        ),
    ],
)
def test_steps_are_the_librarys(normalizer):
    spec = json.loads(normalizer.__getstate__())
    texts = tf.constant([*TEXTS, "a.*b", "\\1"])
    found = texts
    for step in normalizer_steps(spec):
        found = step(found)
    expected = [
        normalizer.normalize_str(text.decode()) if text else ""
        for text in texts.numpy()
    ]
    assert [text.decode() for text in found.numpy()] == expected


def test_no_normalizer_has_no_steps():
    assert normalizer_steps(None) == []
    assert normalizer_steps({"type": "Sequence", "normalizers": []}) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "Lowercase"},
        {"type": "Replace", "pattern": {"Regex": "a+"}, "content": "b"},
        {"type": "Replace", "pattern": {"String": "a"}},
        {"type": "Sequence", "normalizers": [{"type": "NFKC"}]},
        {"type": "Sequence", "normalizers": 3},
        {"type": 5},
        "NFC",
    ],
)
def test_other_steps_are_named(spec):
    with pytest.raises(ValueError, match="not supported: normalizer.*Received"):
        normalizer_steps(spec)


def test_replaced_string_is_that_of_replace_alone():
    spec = {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}
    assert replaced_string(spec) == "a"
    assert replaced_string({**spec, "type": "Split"}) is None
