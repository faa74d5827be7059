"""The entries of config.json, one by one."""

import pytest

from keras_bigmodel.huggingface import fields


@pytest.mark.parametrize(
    ("field", "value", "option"),
    [
        (fields.Size("key", "option"), 3, 3),
        (fields.OptionalSize("key", "option"), None, None),
        (fields.OptionalSize("key", "option"), 7, 7),
        (fields.Number("key", "option"), 2.5, 2.5),
        (fields.OptionalNumber("key", "option"), None, None),
        (fields.Flag("key", "option"), True, True),
        (fields.Word("key", "option", words={"a": "b"}), "a", "b"),
    ],
)
def test_read_and_written(field, value, option):
    assert field.keys == ("key",)
    assert field.read({"key": value}) == {"option": option}
    assert field.write({"option": option}) == {"key": value}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (fields.Size("key", "option"), 0, "a positive integer, not 0"),
        (fields.Size("key", "option"), True, "a positive integer, not True"),
        (fields.Size("key", "option"), 2.0, "a positive integer, not 2.0"),
        (fields.Size("key", "option"), 10**30, "a positive integer"),
        (fields.OptionalSize("key", "option"), "3", "a positive integer"),
        (fields.Number("key", "option"), -1, "0 or more, not -1"),
        (fields.Number("key", "option"), None, "0 or more, not None"),
        (fields.Flag("key", "option"), 1, "true or false, not 1"),
        (fields.Word("key", "option", words={"a": 1}), "b", r"one of \['a'\]"),
        (fields.Word("key", "option", words={"a": 1}), [], r"one of \['a'\]"),
        (fields.Fixed("key", default=False), True, "as False alone, not True"),
        (fields.Fixed("key", default=False), 0, "as False alone, not 0"),
    ],
)
def test_wrong_values(field, value, message):
    with pytest.raises(ValueError, match=message):
        field.read({"key": value})


def test_defaults():
    assert fields.Size("key", "option", 5).read({}) == {"option": 5}
    assert fields.Fixed("key", default=2).read({}) == {}
    assert fields.Fixed("key", default=2).write({}) == {"key": 2}
    with pytest.raises(ValueError, match="key is missing"):
        fields.Size("key", "option").read({})


def test_a_value_without_a_word():
    field = fields.Word("key", "option", words={"a": 1, "b": 1})
    assert field.write({"option": 1}) == {"key": "a"}
    with pytest.raises(ValueError, match="no word for option=2"):
        field.write({"option": 2})


def test_irrelevant_entries():
    field = fields.Irrelevant(names=("a", "b"))
    assert field.keys == ("a", "b")
    assert field.read({"a": 1}) == field.write({"a": 1}) == {}


@pytest.mark.parametrize(
    ("config", "pad_id"),
    [
        ({}, None),
        ({"pad_token_id": None}, None),
        ({"pad_token_id": -1}, None),
        ({"pad_token_id": 3}, 3),
        ({"pad_token_id": 3, "eos_token_id": 3}, None),
        ({"pad_token_id": 3, "eos_token_id": [2, 3]}, None),
        ({"pad_token_id": 3, "bos_token_id": 3}, None),
    ],
)
def test_padding_that_is_the_end_is_none(config, pad_id):
    field = fields.PadId("pad_token_id", "pad_id", None)
    assert field.read(config) == {"pad_id": pad_id}


@pytest.mark.parametrize("value", ["a", 1.5, -2, [1]])
def test_padding_that_is_no_id(value):
    field = fields.PadId("pad_token_id", "pad_id", None)
    with pytest.raises(ValueError, match="an id or null"):
        field.read({"pad_token_id": value})
