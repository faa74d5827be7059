import keras
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.generation.speculative import (
    PromptGuesser,
    SpeculativeProgram,
)

PROMPTS = [[1, 2, 3, 4, 1, 2, 3, 4, 1, 2], [5], [7, 7, 7]]


@pytest.fixture(scope="module")
def model():
    """A model that repeats itself: peaked, with few tokens."""
    model = kbm.models.decoder_lm(11, 64, 2, 2, 16)
    for weight in model.trainable_weights:
        if "embeddings" in weight.path:
            weight.assign(weight * 20.0)
    return model


@pytest.mark.parametrize(
    "sampler", ["greedy", kbm.samplers.Sample(temperature=0.7, top_p=0.9)]
)
def test_looking_up_changes_no_answer(model, sampler):
    options = {"max_new_tokens": 23, "seed": [1, 2, 3], "details": True}
    plain = kbm.generate(model, PROMPTS, sampler=sampler, **options)
    stop = plain[0].token_ids[9]
    lookup = kbm.samplers.PromptLookup(sampler, num_guesses=3)
    guessed = kbm.generate(model, PROMPTS, sampler=lookup, **options)
    for a, b in zip(plain, guessed, strict=True):
        assert (a.token_ids, a.finish_reason) == (b.token_ids, b.finish_reason)
        np.testing.assert_allclose(
            a.log_probabilities, b.log_probabilities, atol=1e-4
        )
    options["stop"] = stop
    plain = kbm.generate(model, PROMPTS, sampler=sampler, **options)
    guessed = kbm.generate(model, PROMPTS, sampler=lookup, **options)
    assert [row.token_ids for row in plain] == [r.token_ids for r in guessed]
    assert plain[0].finish_reason == guessed[0].finish_reason == "stop"


@pytest.mark.parametrize("kind", ["twin", "stranger"])
def test_a_small_model_changes_no_answer(model, kind):
    draft = model
    if kind == "stranger":
        draft = kbm.models.decoder_lm(11, 64, 1, 1, 8)
    sampler = kbm.samplers.Speculative(draft, num_guesses=2)
    plain = kbm.generate(model, PROMPTS, max_new_tokens=17)
    guessed = kbm.generate(model, PROMPTS, max_new_tokens=17, sampler=sampler)
    assert plain == guessed


def test_streams_of_guesses(model):
    options = {"max_new_tokens": 21}
    pieces = kbm.generate(
        model, PROMPTS, sampler="prompt_lookup", stream=True, **options
    )
    rows = [sum(row, []) for row in zip(*pieces, strict=True)]
    assert rows == kbm.generate(model, PROMPTS, **options)


def test_guesses_are_what_followed_before():
    guesser = PromptGuesser(num_guesses=3, longest_match=2)
    prompts = np.array(
        [
            [4, 5, 6, 9, 5, 7, 8, 4, 5],
            [1, 2, 1, 0, 0, 0, 0, 0, 0],  # Repeats itself: 1, 2, 1, 2, 1, ...
            [3, 3, 0, 0, 0, 0, 0, 0, 0],
            [1, 2, 3, 0, 0, 0, 0, 0, 0],  # Nothing stood before.
        ]
    )
    memory = guesser.start(
        prompts.astype("int32"), np.array([9, 3, 2, 3], "int32"), 20
    )
    guesses, memory = guesser.guess(memory, None, 20)
    assert np.array(guesses).tolist() == [
        [6, 9, 5],
        [2, 1, 2],
        [3, 3, 3],
        [-1, -1, -1],
    ]
    picked = np.array([[6, 9, 1, 1], [2, 3, 3, 3], *[[0] * 4] * 2], "int32")
    memory = guesser.learn(
        memory, picked, np.array([3, 1, 0, 0], "int32"), None
    )
    ids = np.array(memory["ids"])
    assert ids[0, :12].tolist() == [4, 5, 6, 9, 5, 7, 8, 4, 5, 6, 9, 1]
    assert ids[1, :4].tolist() == [1, 2, 1, 2]
    assert np.array(memory["known"]).tolist() == [12, 4, 2, 3]


@pytest.mark.tensorflow  # JAX traces both ways.
def test_without_a_guess_one_token_is_read(model, monkeypatch):
    lengths = []
    original = SpeculativeProgram._made

    def watched(self, read, *rest):
        lengths.append(read.shape[1])
        return original(self, read, *rest)

    monkeypatch.setattr(SpeculativeProgram, "_made", watched)
    program = SpeculativeProgram(
        model, PromptGuesser(2, 2), sampler=kbm.samplers.Greedy()
    )
    row = np.ones(1, "int32")
    options = {
        "parameters": {},
        "seeds": row,
        "stop_ids": row - 2,
        "limits": row * 9,
        "num_steps": 1,
        "capacity": 32,
    }
    for prompt, length in (([1, 2, 3, 4], 1), ([1, 2, 3, 1], 3)):
        ids = np.array([prompt], "int32")
        program.run(keras.ops.convert_to_tensor(ids), row * 4, **options)
        assert lengths.pop() == length and not lengths


@pytest.mark.parametrize(
    "layer_options", [{"sliding_window": 4}, {"recurrent": True}]
)
def test_models_that_cannot_go_back_are_refused(layer_options):
    if layer_options.pop("recurrent", False):
        model = kbm.models.lstm_lm(11, 1, 4)
    else:
        model = kbm.models.decoder_lm(11, 16, 1, 1, 4, **layer_options)
    with pytest.raises(ValueError, match="cannot.*Received: layer="):
        kbm.generate(model, [1], max_new_tokens=3, sampler="prompt_lookup")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_guesses": 0}, "`num_guesses` must be a positive"),
        ({"longest_match": 0}, "`longest_match` must be a positive"),
        ({"sampler": kbm.samplers.Beam()}, "checked by `Greedy` or `Sample`"),
        (
            {"sampler": kbm.samplers.Sample(repetition_penalty=2.0)},
            "Penalties depend on",
        ),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kbm.samplers.PromptLookup(**options)


@pytest.mark.parametrize("guesses", ["look-up", "draft"])
def test_guesses_past_the_last_position_do_no_harm(guesses):
    model, draft = (
        kbm.models.decoder_lm(19, 16, 1, 1, 8, position_encoding="learned")
        for _ in range(2)
    )
    sampler = kbm.samplers.PromptLookup()
    if guesses == "draft":
        sampler = kbm.samplers.Speculative(draft)
    options = {"prompts": [[1, 2] * 4, [3]], "max_new_tokens": 8}
    plain = kbm.generate(model, **options)
    assert kbm.generate(model, sampler=sampler, **options) == plain


def test_draft_of_another_vocabulary_or_context_is_refused():
    model = kbm.models.decoder_lm(19, 16, 1, 1, 8)
    other = kbm.models.decoder_lm(17, 16, 1, 1, 8)
    short = kbm.models.decoder_lm(19, 7, 1, 1, 8)
    for draft, message in ((other, "own vocabulary"), (short, "context of 7")):
        sampler = kbm.samplers.Speculative(draft)
        with pytest.raises(ValueError, match=message):
            kbm.generate(model, [1], max_new_tokens=8, sampler=sampler)
