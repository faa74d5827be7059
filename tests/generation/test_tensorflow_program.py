import contextlib
import gc

import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.generation.program import Program

pytestmark = pytest.mark.tensorflow


def test_one_trace_serves_all_shapes():
    from keras_bigmodel.generation.tensorflow_program import TensorFlowProgram

    model = kbm.models.decoder_lm(19, 32, 1, 1, 4)
    program = TensorFlowProgram(
        Program(model, kbm.samplers.Greedy(), long_prompts=False), False
    )
    for batch, width, steps in ((1, 1, 1), (3, 5, 4), (2, 9, 2)):
        prompt = {
            "prompt_ids": np.ones((batch, width), "int32"),
            "lengths": np.full(batch, width, "int32"),
            "capacity": np.int32(width + steps),
        }
        options = {
            "parameters": {},
            "seeds": np.zeros(batch, "int32"),
            "stop_ids": np.array([-1], "int32"),
            "limits": np.full(batch, steps, "int32"),
            "num_steps": np.int32(steps),
        }
        made = program.run(prompt, options)
        assert made["tokens"].shape == (batch, steps)
        assert made["counts"].tolist() == [steps] * batch
        carry = program.start(prompt)
        _, again = program.advance(carry, options)
        np.testing.assert_array_equal(made["tokens"], again["tokens"])
    assert program.num_traces == 3


@pytest.mark.parametrize("fails", [False, True])
def test_garbage_is_looked_for_but_while_a_graph_is_made(fails):
    import tensorflow as tf

    from keras_bigmodel.generation.tensorflow_program import TensorFlowProgram

    seen = []

    def step(token_ids):
        seen.append(gc.isenabled())
        if fails:
            raise ValueError("no such step")
        return tf.one_hot(token_ids, 5)

    program = TensorFlowProgram(Program(step, kbm.samplers.Greedy()), False)
    prompt = {
        "prompt_ids": np.ones((1, 3), "int32"),
        "lengths": np.full(1, 3, "int32"),
        "capacity": np.int32(4),
    }
    expected = pytest.raises(ValueError, match="no such step")
    with expected if fails else contextlib.nullcontext():
        program.start(prompt)
    assert seen and not any(seen) and gc.isenabled()
