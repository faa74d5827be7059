import numpy as np
from keras import ops

import keras_bigmodel as kbm
from keras_bigmodel.generation import processors


def test_penalties_by_their_formulas():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(2, 7)).astype("float32")
    prompt = np.array([[1, 5, 5], [0, 3, 3]], "int32")
    visible = np.array([[True, True, True], [True, True, False]])
    penalties = processors.Penalties(7)
    memory = penalties.start(prompt, visible)
    for picked in ([2, 3], [2, 6]):
        memory = penalties.update(memory, ops.convert_to_tensor(picked))
    made = penalties.process(
        ops.convert_to_tensor(logits),
        memory,
        None,
        {
            "repetition_penalty": np.array([1.3, 2.0], "float32"),
            "presence_penalty": np.array([0.5, 0.0], "float32"),
            "frequency_penalty": np.array([0.25, 0.1], "float32"),
        },
    )
    expected = logits.astype("float64")
    occurred = [{1, 5, 2}, {0, 3, 6}]
    generated = [{2: 2}, {3: 1, 6: 1}]
    options = [(1.3, 0.5, 0.25), (2.0, 0.0, 0.1)]
    for row, (repetition, presence, frequency) in enumerate(options):
        for token in occurred[row]:
            value = expected[row, token]
            scaled = value / repetition if value > 0 else value * repetition
            expected[row, token] = scaled
        for token, times in generated[row].items():
            expected[row, token] -= presence + frequency * times
    np.testing.assert_allclose(ops.convert_to_numpy(made), expected, atol=1e-6)


def test_a_strong_penalty_forbids_repetition():
    model = kbm.models.decoder_lm(13, 32, 1, 2, 8)
    plain = kbm.generate(model, [1], max_new_tokens=13)
    assert len(set(plain)) < 13
    sampler = kbm.samplers.Sample(top_k=1, frequency_penalty=1000.0)
    made = kbm.generate(model, [1], max_new_tokens=13, sampler=sampler, seed=0)
    assert sorted(made) == list(range(13))
