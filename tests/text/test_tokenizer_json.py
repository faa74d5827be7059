import re

import pytest

from keras_bigmodel.text.tokenizer_json import (
    check_ids,
    check_tokenizer,
    component_type,
    components,
    special_frame,
)
from tests.text.tokenizers_for_tests import byte_pair, spec_of

TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [
        {"SpecialToken": {"id": "<s>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "</s>", "type_id": 0}},
    ],
    "special_tokens": {
        "<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]},
        "</s>": {"id": "</s>", "ids": [7, 8], "tokens": ["</", "s>"]},
    },
}


@pytest.mark.parametrize(
    ("processor", "frame"),
    [
        (None, ([], [])),
        ({"type": "ByteLevel"}, ([], [])),
        (TEMPLATE, ([5], [7, 8])),
        (
            {"type": "BertProcessing", "cls": ["C", 2], "sep": ["S", 3]},
            ([2], [3]),
        ),
        (
            {
                "type": "Sequence",
                "processors": [{"type": "ByteLevel"}, TEMPLATE],
            },
            ([5], [7, 8]),
        ),
    ],
)
def test_frames_of_texts(processor, frame):
    assert special_frame(processor) == frame


def test_other_frames_are_named():
    for processor in (
        {"type": "Odd"},
        {**TEMPLATE, "single": TEMPLATE["single"][:1]},
        {**TEMPLATE, "single": TEMPLATE["single"][1:2] * 2},
    ):
        with pytest.raises(ValueError, match="not supported: post_processor"):
            special_frame(processor)


@pytest.mark.parametrize(
    ("vocabulary", "added", "message"),
    [
        ({}, [], "vocabulary is empty"),
        (
            {"a": 0, "b": 2},
            [],
            "without gaps. Received: 2 ids up to 2, without 1",
        ),
        ({"a": 0, "b": 0}, [], "'a' and 'b' have the same id. Received: id=0"),
        ({"a": 0, "b": -1}, [], "'b' must be a whole number"),
        ({"a": 0, "b": True}, [], "'b' must be a whole number"),
        ({"a": 0, "b": 1.0}, [], "'b' must be a whole number"),
        ({"a": 2**40}, [], "from 0 to 1999999. Received: id=1099511627776"),
        ({"a": 0}, [{"content": "a", "id": 1}], "'a' has the id 0"),
        ({"a": 0}, [{"content": "b", "id": 0}], "have the same id"),
    ],
)
def test_ids_are_checked(vocabulary, added, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_ids(vocabulary, added)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"odd": 1}, "not supported: odd"),
        ({"truncation": {"max_length": 5}}, "cuts or pads.*Received: trunc"),
        ({"padding": {"strategy": "x"}}, "cuts or pads.*Received: padding"),
        ({"model": None}, "not supported: model"),
        ({"model__vocab": 3}, "not supported: vocab"),
        ({"model__vocab": [["a"]]}, "not supported: vocab entry"),
        ({"model__vocab": [["a", 0.5], ["a", 1]]}, "twice in the vocabulary"),
        ({"added_tokens": 3}, "not supported: added_tokens"),
        ({"added_tokens": [{"content": "a"}]}, "not supported: added token"),
        (
            {"added_tokens": [{"content": "", "id": 0}]},
            "has 1 to 1000 characters. Received: 0",
        ),
        (
            {"added_tokens": [{"content": "a" * 999, "id": 0}] * 201},
            "at most 200000 characters in all. Received: 200799",
        ),
    ],
)
def test_parts_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        check_tokenizer(spec_of(byte_pair(), **changes))


def test_sequences_are_flattened():
    inner = {"type": "Sequence", "steps": [{"type": "A"}, {"type": "B"}]}
    outer = {"type": "Sequence", "steps": [inner, {"type": "C"}]}
    kinds = [step["type"] for step in components(outer, "part", "steps")]
    assert kinds == ["A", "B", "C"]
    assert components(None, "part", "steps") == []
    assert component_type(None, "part") is None
    for wrong in ({"type": "Sequence"}, 3, {"type": 3}):
        with pytest.raises(ValueError, match="not supported: part"):
            components(wrong, "part", "steps")
