"""Caches that grow while tokens are made change no answer."""

import numpy as np
import pytest

import keras_bigmodel as kbm

pytestmark = pytest.mark.tensorflow
PROMPTS = [[3, 1, 4, 1, 5, 9, 2], [5], [3, 5, 8]]


@pytest.fixture
def answers(monkeypatch):
    from keras_bigmodel.generation.tensorflow_kernels import (
        PromptKernels,
        StepKernels,
    )

    def both(make, **options):
        found = []
        for growth in (None, 2):
            for kind in (PromptKernels, StepKernels):
                monkeypatch.setattr(kind, "growth", growth)
            # Its programs were traced for another growth.
            model = make()
            found.append(run(model, **options))
        return found

    return both


def run(model, prompts=PROMPTS, prefix=None, stream=False, **options):
    if prefix is not None:
        options["prefix"] = kbm.generation.Prefix(model, prefix, room=24)
    made = kbm.generate(
        model, prompts, max_new_tokens=13, stream=stream, **options
    )
    if stream:
        made = [sum(row, []) for row in zip(*made, strict=True)]
    return made


def decoder(**options):
    def make():
        import keras

        keras.utils.set_random_seed(1)
        model = kbm.models.decoder_lm(31, 64, 2, 4, 16, **options)
        table = model.get_layer("token_embedding").embeddings
        table.assign(table * 20.0)
        return model

    return make


@pytest.mark.parametrize(
    "options",
    [
        {"position_encoding": "learned"},
        {"position_encoding": "alibi"},
        {"position_encoding": "relative"},
        {"position_encoding": "rotary", "num_key_value_heads": 2},
        {"position_encoding": "rotary", "sliding_window": 3},
        {"position_encoding": "rotary", "sliding_window": [5, None]},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
@pytest.mark.parametrize("stream", [False, True])
def test_any_attention(answers, options, stream):
    whole, grown = answers(decoder(**options), stream=stream)
    assert whole == grown


@pytest.mark.parametrize(
    "sampler",
    [
        kbm.samplers.Beam(num_beams=3),
        kbm.samplers.PromptLookup(num_guesses=3),
        kbm.samplers.Speculative(decoder()(), num_guesses=2),
        kbm.samplers.Sample(temperature=0.7),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_any_sampler(answers, sampler):
    whole, grown = answers(decoder(), sampler=sampler, seed=[1, 2, 3])
    assert whole == grown


def test_prefixes(answers):
    whole, grown = answers(decoder(), prefix=[7, 8, 9, 10, 11])
    assert whole == grown


def test_long_prompts(answers, monkeypatch):
    from keras_bigmodel.generation import choice, program

    for module in (choice, program):
        monkeypatch.setattr(module, "prefill_chunk", lambda context: 5)
    prompts = [np.arange(17) % 31, np.arange(3)]
    whole, grown = answers(
        decoder(), prompts=[prompt.tolist() for prompt in prompts]
    )
    assert whole == grown


def test_recurrent_models_and_encoder_decoders(answers):
    whole, grown = answers(lambda: seeded(kbm.models.lstm_lm, 31, 1, 8))
    assert whole == grown
    whole, grown = answers(
        lambda: seeded(
            kbm.models.encoder_decoder, 31, 31, 32, 1, 2, 16, pad_id=0
        ),
        start_id=1,
    )
    assert whole == grown


def seeded(builder, *arguments, **options):
    import keras

    keras.utils.set_random_seed(1)
    return builder(*arguments, **options)


def test_a_prefix_can_be_used_again():
    model = decoder()()
    prefix = kbm.generation.Prefix(model, [7, 8, 9], room=24)
    kept = {name: np.array(value) for name, value in prefix.state.items()}
    first = kbm.generate(model, [[1, 2]], max_new_tokens=9, prefix=prefix)
    again = kbm.generate(model, [[1, 2]], max_new_tokens=9, prefix=prefix)
    assert first == again
    for name, value in kept.items():
        np.testing.assert_array_equal(np.array(prefix.state[name]), value)


@pytest.mark.parametrize("stream", [False, True])
def test_large_caches_get_all_their_slots(answers, monkeypatch, stream):
    from keras_bigmodel.generation import program

    monkeypatch.setattr(program, "LARGE_CACHES", 0)
    whole, grown = answers(decoder(), prompts=[[5], [3]], stream=stream)
    assert whole == grown


@pytest.mark.parametrize(
    ("read", "slots", "large", "room"),
    [
        # A sixteenth of the capacity: an eighth more, in pieces of two.
        (16, None, False, 18),
        # More than that: all at once.
        (17, None, False, 256),
        # After the prompt all at once if the caches are large.
        (17, 17, False, 20),
        (16, 16, True, 256),
        # Never fewer than there are, nor more than there will be.
        (16, 64, False, 64),
        (250, 250, False, 256),
    ],
)
def test_room(monkeypatch, read, slots, large, room):
    from keras_bigmodel.generation import program
    from keras_bigmodel.generation.tensorflow_kernels import StepKernels

    monkeypatch.setattr(StepKernels, "growth", 2)
    # 256 slots of 2 rows, 3 heads and 4 numbers, keys and values.
    monkeypatch.setattr(program, "LARGE_CACHES", 256 * 48 - large)
    state = None
    if slots is not None:
        cache = np.zeros((2, 3, slots, 4), "float32")
        state = {"a/key": cache, "a/value": cache}
    ours = program.Program(None, None, kernels=StepKernels())
    if state is not None:
        state["lengths"] = np.full(2, read - 1, "int32")
    found = ours._slots(state, read if state is None else 1, 256)
    assert (int(found.capacity), int(found.room)) == (256, room)
