"""Masked words: which, how many, by what."""

import functools
import pydoc_data.topics

import numpy as np
import pytest

from keras_bigmodel.text import (
    ByteTokenizer,
    UnigramTokenizer,
    WordPieceTokenizer,
    masked_lm_dataset,
)
from keras_bigmodel.text.datasets.words import WordFinder

TEXTS = list(pydoc_data.topics.topics.values())[:9]


@functools.cache
def word_piece():
    return WordPieceTokenizer.train(TEXTS, 701)


def make(texts=TEXTS, sequence_length=61, batch_size=7, **options):
    tokenizer = options.pop("tokenizer", None) or word_piece()
    return masked_lm_dataset(
        texts, tokenizer, sequence_length, batch_size, **options
    )


def read(dataset):
    """Rows of inputs, labels and weights, without their padding."""
    found = []
    for token_ids, labels, weights in dataset.as_numpy_iterator():
        assert token_ids.shape == labels.shape == weights.shape
        for row in zip(token_ids, labels, weights, strict=True):
            size = int((row[1] != 0).sum())
            assert not row[0][size:].any() and not row[2][size:].any()
            found.append([part[:size] for part in row])
    return found


def test_labels_are_the_texts():
    rows = read(make())
    ids = []
    for text in word_piece().encode(TEXTS, add_special_tokens=False):
        ids += [(2, *text[i : i + 59], 3) for i in range(0, len(text), 59)]
    assert sorted(tuple(labels) for _, labels, _ in rows) == sorted(ids)
    assert {len(labels) for _, labels, _ in rows} != {61}


def test_whole_words_are_drawn_up_to_the_rate():
    finder = WordFinder(word_piece())
    for _, labels, weights in read(make(mask_rate=0.2)):
        numbers = finder.number(labels)
        drawn = set(numbers[weights > 0])
        assert drawn and 0 not in drawn
        np.testing.assert_array_equal(np.isin(numbers, list(drawn)),
                                      weights > 0)  # fmt: skip
        budget = max(1, round(0.2 * (len(labels) - 2)))
        assert weights.sum() <= budget or len(drawn) == 1


def test_drawn_tokens_meet_their_fates():
    rows = read(make(TEXTS * 3, mask_rate=0.5, shuffle=True))
    token_ids, labels, weights = (
        np.concatenate(part) for part in zip(*rows, strict=True)
    )
    drawn = weights > 0
    np.testing.assert_array_equal(token_ids[~drawn], labels[~drawn])
    count = drawn.sum()
    assert count > 5000
    masked = (token_ids[drawn] == 4).sum() / count
    kept = (token_ids[drawn] == labels[drawn]).sum() / count
    assert abs(masked - 0.8) < 0.03 and abs(kept - 0.1) < 0.03
    others = token_ids[drawn][token_ids[drawn] != 4]
    assert others.min() > 4 and len(set(others)) > 300


def test_masks_are_new_in_each_epoch_only_when_shuffled():
    def epoch(dataset):
        return [tuple(map(tuple, row)) for row in read(dataset)]

    dataset = make()
    assert epoch(dataset) == epoch(dataset) == epoch(make())
    assert epoch(make(seed=1)) != epoch(dataset)
    dataset = make(shuffle=True)
    first, second = epoch(dataset), epoch(dataset)
    assert first != second and sorted(first) != sorted(second)
    again = make(shuffle=True)
    assert [epoch(again), epoch(again)] == [first, second]


def test_rows_without_words():
    rows = read(make(["[MASK] [SEP]", "a"]))
    sums = sorted(weights.sum() for _, _, weights in rows)
    assert sums == [0, 1]


def test_other_mask_tokens():
    tokenizer = UnigramTokenizer.train(
        TEXTS[:3], 300, special_tokens=["<mask>", "<gap>"]
    )
    for name, mask_id in ((None, 3), ("<gap>", 4)):
        rows = read(make(tokenizer=tokenizer, mask_token=name))
        found = np.concatenate([ids[w > 0] for ids, _, w in rows])
        assert (found == mask_id).mean() > 0.5
    with pytest.raises(ValueError, match=r"none of the mask.*\['<hole>'\]"):
        make(tokenizer=tokenizer, mask_token="<hole>")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokenizer": ByteTokenizer()}, r"mask tokens \['\[MASK\]'"),
        ({"mask_rate": 0}, "mask_rate=0"),
        ({"mask_rate": 1.5}, "mask_rate=1.5"),
        ({"sequence_length": 2}, "sequence_length=2"),
        ({"texts": [""]}, "texts are empty"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
