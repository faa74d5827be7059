import heapq

import keras
import numpy as np
import pytest

import keras_bigmodel as kbm
from tests.generation import reference

PROMPTS = [[5, 1, 3], [2]]
STOP = 4


@pytest.fixture(scope="module")
def model():
    model = kbm.models.decoder_lm(7, 16, 1, 2, 8)
    for weight in model.trainable_weights:
        if "embeddings" in weight.path:
            weight.assign(weight * 25.0)
    return model


def log_probabilities(model, row):
    logits = reference.logits_of(model, row)[-1]
    logits = logits - logits.max()
    return logits - np.log(np.exp(logits).sum())


def search(model, prompt, beams, penalty, steps):
    """Beam search written down plainly, without tensors."""
    alive, done = [(0.0, [])], []
    for length in range(1, steps + 1):
        ways = []
        for score, answer in alive:
            scores = log_probabilities(model, prompt + answer)
            ways += [(score + s, answer + [t]) for t, s in enumerate(scores)]
        ways = heapq.nlargest(2 * beams, ways)
        done += [(s / length**penalty, a) for s, a in ways if a[-1] == STOP]
        done = heapq.nlargest(beams, done)
        alive = [way for way in ways if way[1][-1] != STOP][:beams]
    done += [(s / steps**penalty, a) for s, a in alive]
    return heapq.nlargest(beams, done)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("beams", [1, 3])
def test_answers_are_those_of_the_plain_search(model, beams, penalty):
    sampler = kbm.samplers.Beam(beams, penalty, num_answers=beams)
    made = kbm.generate(
        model,
        PROMPTS,
        max_new_tokens=5,
        sampler=sampler,
        stop=STOP,
        details=True,
    )
    for prompt, answers in zip(PROMPTS, made, strict=True):
        answers = answers if beams > 1 else [answers]
        expected = search(model, prompt, beams, penalty, 5)
        for answer, (score, ids) in zip(answers, expected, strict=True):
            stopped = ids[-1] == STOP
            assert answer.token_ids == (ids[:-1] if stopped else ids)
            assert answer.score == pytest.approx(score, abs=1e-4)
            assert answer.finish_reason == ("stop" if stopped else "length")


def test_one_beam_is_greedy(model):
    options = {"max_new_tokens": 6}
    one = kbm.samplers.Beam(num_beams=1)
    assert kbm.generate(model, PROMPTS, sampler=one, **options) == kbm.generate(
        model, PROMPTS, **options
    )


def test_recurrent_states_follow_their_beams():
    model = kbm.models.lstm_lm(7, 1, 8)
    for weight in model.trainable_weights:
        weight.assign(weight * 4.0)
    made = kbm.generate(
        model,
        PROMPTS[0],
        max_new_tokens=4,
        sampler=kbm.samplers.Beam(2, 1.0),
        stop=STOP,
    )
    best = search(model, PROMPTS[0], 2, 1.0, 4)[0][1]
    assert made == [token for token in best if token != STOP]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beams": 0}, "`num_beams` must be a positive"),
        ({"num_beams": 2, "num_answers": 3}, "at most `num_beams`"),
        ({"length_penalty": float("nan")}, "`length_penalty` must be finite"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kbm.samplers.Beam(**options)


def test_streams_are_refused(model):
    with pytest.raises(ValueError, match="cannot stream"):
        kbm.generate(model, [1], max_new_tokens=2, sampler="beam", stream=True)


def test_encoder_decoders_translate_by_all_samplers():
    """The cached answers equal whole passes of the whole model."""
    for build in (
        lambda: kbm.models.encoder_decoder(13, 11, 16, 1, 2, 8, pad_id=0),
        lambda: kbm.models.gru_seq2seq(13, 11, 1, 8, attention=True, pad_id=0),
    ):
        model = build()
        for weight in model.trainable_weights:
            weight.assign(weight * 3.0)
        sources = [[5, 6, 7, 8, 9], [12, 3]]
        options = {"max_new_tokens": 5, "start_id": 1}
        made = kbm.generate(model, sources, **options)
        for source, answer in zip(sources, made, strict=True):
            inputs = {
                "source_ids": np.array([source]),
                "target_ids": np.array([[1, *answer[:-1]]]),
            }
            logits = keras.ops.convert_to_numpy(model(inputs))[0]
            assert logits.argmax(axis=-1).tolist() == answer
        beam = kbm.samplers.Beam(num_beams=1)
        assert kbm.generate(model, sources, sampler=beam, **options) == made
