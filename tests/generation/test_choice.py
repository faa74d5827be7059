import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.generation import choice


@pytest.fixture(scope="module")
def model():
    return kbm.models.decoder_lm(19, 32, 1, 2, 8)


def chosen(model, sampler, processors=()):
    return choice.program_for(model, sampler, 19, processors, choice.Options())


def test_samplers_of_one_kind_share_a_program(model):
    cool, _, slack = chosen(model, kbm.samplers.Sample(temperature=0.5))
    hot, parameters, _ = chosen(model, kbm.samplers.Sample(temperature=2.0))
    assert cool is hot and slack == 0
    assert parameters["temperature"] == 2.0
    assert chosen(model, kbm.samplers.Sample(top_k=3))[0] is not hot
    assert chosen(model, kbm.samplers.Greedy())[0] is not hot


def test_penalties_bring_their_parameters(model):
    sampler = kbm.samplers.Sample(presence_penalty=0.5)
    _, parameters, _ = chosen(model, sampler)
    assert parameters["presence_penalty"] == 0.5
    assert parameters["repetition_penalty"] == 1.0


def test_guesses_need_room(model):
    sampler = kbm.samplers.PromptLookup(num_guesses=5)
    assert chosen(model, sampler)[2] == 5


def test_parameters_are_given_to_each_row():
    rows = choice.per_row({"top_k": 3, "top_p": 0.5}, 2)
    assert rows["top_k"].dtype == np.int32
    assert rows["top_p"].dtype == np.float32
    assert rows["top_k"].tolist() == [3, 3]


def test_long_prompts_are_told(model):
    assert not choice.needs_long_prompts(model, [[1] * 33])
    assert choice.needs_long_prompts(model, [[1] * 34, [1]])
