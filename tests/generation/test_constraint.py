import json
import re

import pytest

import keras_bigmodel as kbm
from keras_bigmodel.generation import RegexConstraint


class Pieces:
    """A tokenizer of some pieces of text, the last one an unfinished one."""

    end_id = 0
    start_id = 1
    pieces = [
        "",
        "",
        *'0123456789-{}":, ',
        "20",
        "true",
        "fal",
        "se",
        "name",
        "\ufffd",
        "x",
    ]
    vocabulary_size = len(pieces)

    def encode(self, texts):
        return [[self.pieces.index(c) for c in text] for text in texts]

    def decode(self, rows):
        return ["".join(self.pieces[i] for i in row) for row in rows]


DATE = r"20\d{2}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
JSON = r'\{"name": "x{1,3}", "\d": (true|false)\}'


@pytest.fixture(scope="module")
def model():
    return kbm.models.decoder_lm(Pieces.vocabulary_size, 64, 1, 2, 8)


@pytest.mark.parametrize("sampler", ["greedy", "sample"])
def test_answers_match(model, sampler):
    tokenizer = Pieces()
    for pattern in (DATE, JSON):
        constraint = RegexConstraint(pattern, tokenizer)
        made = kbm.generate(
            model,
            ["", "20", "x"],
            tokenizer,
            max_new_tokens=40,
            sampler=sampler,
            seed=range(3),
            processors=[constraint],
            details=True,
        )
        for row in made:
            assert re.fullmatch(pattern, row.text), row.text
            assert row.finish_reason == "stop"
            if pattern is JSON:
                assert set(json.loads(row.text)) > {"name"}


def test_sampled_answers_differ(model):
    tokenizer = Pieces()
    made = kbm.generate(
        model,
        [""] * 9,
        tokenizer,
        max_new_tokens=12,
        sampler="sample",
        seed=range(9),
        processors=[RegexConstraint(DATE, tokenizer)],
    )
    assert len(set(made)) > 5


def test_paths_that_no_token_can_finish_are_closed():
    # "fal" leads to "false" but "y" stands in no token.
    constraint = RegexConstraint("true|faly|20y", Pieces())
    (allowed,) = (constraint.table[0] >= 0).nonzero()
    assert [Pieces.pieces[token] for token in allowed] == ["true"]


def test_what_nothing_matches_is_refused():
    with pytest.raises(ValueError, match="No text made of.*pattern='y'"):
        RegexConstraint("y", Pieces())
    endless = Pieces()
    endless.end_id = None
    with pytest.raises(ValueError, match="end_id=None"):
        RegexConstraint("x", endless)


def test_another_vocabulary_is_refused():
    model = kbm.models.decoder_lm(9, 16, 1, 1, 4)
    with pytest.raises(ValueError, match="another vocabulary"):
        kbm.generate(
            model,
            [1],
            max_new_tokens=2,
            processors=[RegexConstraint("x", Pieces())],
        )
