import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.generation import prompts


class Letters:
    start_id = 26
    end_id = None

    def encode(self, texts):
        return [[ord(letter) - 97 for letter in text] for text in texts]


@pytest.fixture(scope="module")
def model():
    return kbm.models.decoder_lm(27, 16, 1, 1, 4)


def test_forms_of_prompts(model):
    assert prompts.read("ab", Letters(), model).ids == [[0, 1]]
    assert prompts.read(["ab", ""], Letters(), model).ids == [[0, 1], [26]]
    assert prompts.read([3, 4], None, model).is_single
    assert prompts.read((3, 4), None, model).ids == [[3, 4]]
    rows = prompts.read([np.array([3, 4]), np.array([5])], None, model)
    assert rows.ids == [[3, 4], [5]] and not rows.is_single
    with pytest.raises(ValueError, match="all strings or all lists"):
        prompts.read(["ab", [1]], Letters(), model)


def test_padding_is_behind():
    rows = prompts.Prompts([[1, 2, 3], [4]], False, 9, sources=[[5], [6, 7]])
    padded = rows.padded()
    np.testing.assert_array_equal(padded["source_ids"], [[5, 0], [6, 7]])
    np.testing.assert_array_equal(padded["prompt_ids"], [[1, 2, 3], [4, 0, 0]])
    np.testing.assert_array_equal(padded["lengths"], [3, 1])


def test_seeds_of_any_size():
    seeds = prompts.seeds_of([2**40 + 5, -1, 2**31], 3)
    assert seeds.dtype == "int32"
    assert seeds.tolist() == [5, -1, -(2**31)]
    assert prompts.seeds_of(7, 2).tolist() == [7, 7]


def test_context_is_the_least_of_the_layers(model):
    assert prompts.context_of(model) == 16
    learned = kbm.models.decoder_lm(
        27,
        16,
        1,
        1,
        4,
        position_encoding=kbm.layers.LearnedPositionEncoding(9),
    )
    assert prompts.context_of(learned) == 9


def test_learned_positions_end_with_the_context():
    model = kbm.models.decoder_lm(
        37, 8, 1, 1, 4, position_encoding="learned", sliding_window=3
    )
    rows = prompts.read([3, 4], None, model)
    with pytest.raises(ValueError, match="Learned positions end"):
        prompts.check_room(rows, model, 20, beyond_context=True)
