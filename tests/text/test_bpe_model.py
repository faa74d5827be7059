import re

import pytest

from keras_bigmodel.text.bpe_model import check_model, merge_ids, pairs_of

VOCABULARY = {"a": 0, "b": 1, "ab": 2, "abb": 3}


def model(**options):
    return {
        "type": "BPE",
        "vocab": VOCABULARY,
        "merges": [["a", "b"], ["ab", "b"]],
        **options,
    }


def test_merges_are_read_in_both_forms():
    assert pairs_of(model()) == [("a", "b"), ("ab", "b")]
    assert pairs_of(model(merges=["a b", "ab b"])) == pairs_of(model())
    assert merge_ids(model()) == ([0, 2], [1, 1], [2, 3])


def test_a_merge_that_stands_twice_has_its_last_rank():
    twice = model(merges=["a b", "ab b", "a b"])
    assert merge_ids(twice) == ([2, 0], [1, 1], [3, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 0.1}, "not supported: dropout. Received: dropout=0.1"),
        ({"continuing_subword_prefix": "##"}, "continuing_subword_prefix"),
        ({"end_of_word_suffix": "</w>"}, "end_of_word_suffix"),
        ({"unheard_of": 1}, "not supported: unheard_of"),
        ({"merges": None}, "not supported: merges"),
        ({"merges": [["a"]]}, "pair of tokens. Received: merge="),
        ({"merges": [["a", 1]]}, "pair of tokens"),
        ({"merges": [["a", ""]]}, "pair of tokens"),
        ({"merges": ["a  b"]}, "pair of tokens"),
        ({"merges": [["a", "c"]]}, "'c', which is not in the vocabulary"),
        ({"merges": [["b", "a"]]}, "'ba', which is not in the vocabulary"),
    ],
)
def test_what_is_wrong_is_said(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_model(model(**options))


def test_options_that_change_nothing_pass():
    check_model(
        model(
            dropout=None,
            unk_token=None,
            continuing_subword_prefix="",
            end_of_word_suffix="",
            fuse_unk=False,
            byte_fallback=False,
            ignore_merges=True,
        )
    )
