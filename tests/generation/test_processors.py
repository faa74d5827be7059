import numpy as np
import pytest
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


@pytest.fixture(scope="module")
def model():
    return kbm.models.decoder_lm(13, 32, 1, 2, 8)


def test_banned_tokens_never_come(model):
    (first, *_) = plain = kbm.generate(model, [1], max_new_tokens=5)
    banned = processors.BannedTokens((first, 0))
    made = kbm.generate(model, [1], max_new_tokens=5, processors=[banned])
    assert first in plain and first not in made


def test_banned_phrases_are_never_completed(model):
    plain = kbm.generate(model, [1, 2], max_new_tokens=6)
    phrases = [(2, plain[0]), (plain[1],)]
    made = kbm.generate(
        model,
        [[1, 2], [3]],
        max_new_tokens=6,
        processors=[processors.BannedPhrases(phrases)],
    )
    for prompt, row in zip(([1, 2], [3]), made, strict=True):
        whole = [*prompt, *row]
        pairs = list(zip(whole, whole[1:], strict=False))
        assert phrases[0] not in pairs
        assert plain[1] not in row


def test_answers_begin_with_a_forced_prefix(model):
    forced = processors.ForcedPrefix((7, 3, 7))
    made = kbm.generate(
        model, [[1], [2, 4]], max_new_tokens=5, processors=[forced]
    )
    assert [row[:3] for row in made] == [[7, 3, 7]] * 2
    assert made[0][3:] == kbm.generate(model, [1, 7, 3, 7], max_new_tokens=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: processors.BannedTokens(()), "must name tokens"),
        (lambda: processors.ForcedPrefix((-1,)), "must name tokens"),
        (lambda: processors.BannedPhrases(((1,), ())), "none of them empty"),
    ],
)
def test_bad_descriptions_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_tokens_outside_the_vocabulary_are_refused(model):
    for processor in (
        processors.BannedTokens((13,)),
        processors.ForcedPrefix((13,)),
        processors.BannedPhrases(((1, 13),)),
    ):
        with pytest.raises(ValueError, match="from 0 to 12.*13"):
            kbm.generate(model, [1], max_new_tokens=2, processors=[processor])


def test_processors_go_with_single_picks(model):
    with pytest.raises(ValueError, match="one token at a time"):
        kbm.generate(
            model,
            [1],
            max_new_tokens=2,
            sampler="beam",
            processors=[processors.BannedTokens((1,))],
        )
