import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.generation import choice
from keras_bigmodel.generation.program import (
    PREFILL_CHUNK,
    Program,
    prefill_chunk,
)
from tests.generation import reference

PROMPTS = np.array([[5, 17, 3, 2], [7, 0, 0, 0]], "int32")
LENGTHS = np.array([4, 1], "int32")


@pytest.fixture(scope="module")
def model():
    return kbm.models.decoder_lm(19, 32, 1, 2, 8)


def options(limits, num_steps):
    return {
        "parameters": {},
        "seeds": np.zeros(2, "int32"),
        "stop_ids": np.array([-1], "int32"),
        "limits": np.array(limits, "int32"),
        "num_steps": num_steps,
        "capacity": 16,
    }


def test_a_program_runs_eagerly_too(model):
    program = Program(model, kbm.samplers.Greedy(), log_probabilities=True)
    made = program.run(PROMPTS, LENGTHS, **options([4, 2], 4))
    tokens = np.array(made["tokens"])
    assert np.array(made["counts"]).tolist() == [4, 2]
    assert np.array(made["finished"]).all()
    for row, (prompt, count) in enumerate(([[5, 17, 3, 2], 4], [[7], 2])):
        answer = tokens[row, :count].tolist()
        assert reference.greedy(model, prompt, answer) == answer
        assert (tokens[row, count:] == 0).all()
    assert (np.array(made["log_probabilities"])[1, 2:] == 0).all()


def test_steps_go_on_where_the_last_ones_ended(model):
    program = Program(model, kbm.samplers.Greedy())
    whole = program.run(PROMPTS, LENGTHS, **options([6, 6], 6))
    carry = program.start(PROMPTS, LENGTHS, 16)
    parts = []
    for num_steps in (1, 3, 2):
        carry, made = program.advance(carry, **options([6, 6], num_steps))
        parts.append(np.array(made["tokens"]))
    np.testing.assert_array_equal(
        np.concatenate(parts, axis=1), np.array(whole["tokens"])
    )
    assert np.array(carry["count"]).tolist() == [6, 6]


def test_pieces_of_a_prompt_fit_the_context():
    assert prefill_chunk(None) == PREFILL_CHUNK
    assert prefill_chunk(8) == 8
    assert prefill_chunk(10**6) == PREFILL_CHUNK


@pytest.mark.parametrize("positions", ["rotary", "alibi"])
def test_goes_on_beyond_the_context_in_flat_memory(positions):
    model = kbm.models.decoder_lm(
        19, 32, 1, 2, 8, position_encoding=positions, sliding_window=7
    )
    program = choice.program_for(
        model, kbm.samplers.Greedy(), 19, (), choice.Options()
    )[0]
    steps = 2000
    prompt = {
        "prompt_ids": PROMPTS,
        "lengths": LENGTHS,
        "capacity": np.int32(len(PROMPTS[0]) - 1 + steps),
    }
    carry = program.start(prompt)
    shapes = {name: x.shape for name, x in carry["state"].items()}
    # Two caches of heads, window and head_dim, and the rows' lengths.
    size = sum(int(np.prod(shape)) for shape in shapes.values())
    assert size == 2 * (2 * 2 * 7 * 4) + 2
    settings = options([steps] * 2, np.int32(steps))
    del settings["capacity"]
    carry, made = program.advance(carry, settings)
    assert {name: x.shape for name, x in carry["state"].items()} == shapes
    assert made["counts"].tolist() == [steps, steps]
    # One layer sees a window, whatever stands before it.
    for row in made["tokens"]:
        logits = np.array(model(row[None, -8:-1]))
        assert logits[0, -1].argmax() == row[-1]
