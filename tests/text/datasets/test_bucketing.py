"""Buckets by length."""

import types

import numpy as np
import pytest

from keras_bigmodel.text import ByteTokenizer
from keras_bigmodel.text.datasets.bucketing import (
    bucket_lengths,
    bucketed,
    check_pad_id,
    check_too_long,
    encode_limited,
    padded,
)


@pytest.mark.parametrize(
    ("longest", "wanted"),
    [
        (5, [5]),
        (16, [16]),
        (17, [16, 17]),
        (64, [16, 24, 32, 48, 64]),
        (100, [16, 24, 32, 48, 64, 96, 100]),
    ],
)
def test_lengths_of_buckets(longest, wanted):
    assert bucket_lengths(longest) == wanted


@pytest.mark.parametrize("drop_remainder", [False, True])
def test_batches_hold_one_bucket(drop_remainder):
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 31, size=211).tolist()
    buckets = [7, 13, 30]
    batches = list(bucketed(lengths, int, buckets, 5, drop_remainder))
    for batch in batches:
        bounds = {sum(length > bound for bound in buckets) for length in batch}
        assert len(bounds) == 1 and len(batch) <= 5
    flat = sorted(length for batch in batches for length in batch)
    if drop_remainder:
        assert {len(batch) for batch in batches} == {5}
        assert 211 - 3 * 4 <= len(flat) <= 211
    else:
        assert flat == sorted(lengths)


def test_rows_are_padded_to_the_bucket():
    matrix = padded([np.arange(3), np.arange(0)], [2, 5, 7], 9)
    assert matrix.tolist() == [[0, 1, 2, 9, 9], [9, 9, 9, 9, 9]]
    assert matrix.dtype == np.int32


def encode(texts, longest, too_long):
    ends = [1], [2, 3]
    found = encode_limited(ByteTokenizer(), texts, ends, longest, too_long)
    return [row if row is None else row.tolist() for row in found]


def test_long_texts():
    texts = ["ab", "abcd"]
    short = [1, 97, 98, 2, 3]
    assert encode(texts, 7, "error") == [short, [1, 97, 98, 99, 100, 2, 3]]
    assert encode(texts, 6, "cut") == [short, [1, 97, 98, 99, 2, 3]]
    assert encode(texts, 6, "drop") == [short, None]
    with pytest.raises(ValueError, match=r"has 4 tokens.*room for 3.*'abcd'"):
        encode(texts, 6, "error")


def test_bad_choices():
    with pytest.raises(ValueError, match="too_long='split'"):
        check_too_long("split")
    with pytest.raises(ValueError, match="`pad_id`.*pad_id=None"):
        check_pad_id(types.SimpleNamespace(pad_id=None))
