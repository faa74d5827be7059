import math

import numpy as np
import pytest

from keras_bigmodel.cli.corpus import Corpus, num_bytes
from keras_bigmodel.cli.recipe import Recipe, tokens_per_byte

pytestmark = pytest.mark.tensorflow

TEXTS = [f"line {i}: to be or not to be, that is asked\n" * 3 for i in range(9)]
CORPUS = Corpus("lines", TEXTS[1:], TEXTS[:1])
SMALL = Recipe(270, 16, 1, 2, 32, batch_size=2, learning_rate=0.01)


def test_a_recipe_learns():
    tokenizer = SMALL.build_tokenizer(CORPUS)
    model = SMALL.build_model(tokenizer)
    assert model.output.shape == (None, None, tokenizer.vocabulary_size)
    curves = SMALL.fit(model, tokenizer, CORPUS, steps=60, verbose=0)
    assert curves.steps == 60
    assert curves.validation[-1] < 0.6 * curves.validation[0]


def test_the_seed_decides_the_weights():
    tokenizer = SMALL.build_tokenizer(CORPUS)
    first, second = (SMALL.build_model(tokenizer) for _ in range(2))
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_tokens_per_byte():
    tokenizer = SMALL.build_tokenizer(CORPUS)
    tokens = sum(map(len, tokenizer.encode(TEXTS)))
    assert math.isclose(
        tokens_per_byte(tokenizer, TEXTS), tokens / num_bytes(TEXTS)
    )
