import keras
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.generation import program
from keras_bigmodel.text import ByteTokenizer
from tests.generation import reference

PROMPTS = [[5, 17, 33, 2, 9, 1, 31], [7], [25, 4]]


@pytest.fixture(scope="module")
def model():
    return lively(kbm.models.decoder_lm(37, 32, 2, 2, 16))


def lively(model):
    """Widens the weights, so that each step has a clear winner."""
    for weight in model.trainable_weights:
        if "embeddings" in weight.path:
            weight.assign(weight * 20.0)
    return model


def assert_greedy(model, prompts, answers):
    for prompt, answer in zip(prompts, answers, strict=True):
        assert reference.greedy(model, prompt, answer) == answer


OPTIONS = [
    {"position_encoding": "rotary"},
    {"position_encoding": "learned"},
    {"position_encoding": "sinusoidal"},
    {"position_encoding": "alibi"},
    {"position_encoding": "relative"},
    {"position_encoding": None},
    {"sliding_window": [None, 3], "num_key_value_heads": 1},
    {"normalize_first": False, "gated": True, "normalization": "rms"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: str(o)[:40])
def test_cached_greedy_is_uncached_greedy(options):
    model = lively(kbm.models.decoder_lm(37, 16, 2, 2, 16, **options))
    answers = kbm.generate(model, PROMPTS, max_new_tokens=9)
    assert_greedy(model, PROMPTS, answers)
    assert len(answers[0]) == 9


def test_the_prompts_form_comes_back(model):
    one = kbm.generate(model, PROMPTS[0], max_new_tokens=3)
    assert kbm.generate(model, PROMPTS[:1], max_new_tokens=3) == [one]
    assert kbm.generate(model, np.array(PROMPTS[0]), max_new_tokens=3) == one


def test_users_own_models_generate():
    def layers():
        return [
            kbm.layers.TokenEmbedding(37, 16),
            kbm.layers.DecoderBlock(2, 16),
            kbm.layers.LSTM(16, return_sequences=True),
            keras.layers.Dense(37),
        ]

    token_ids = keras.Input((None,), dtype="int32")
    x = token_ids
    for layer in layers():
        x = layer(x)
    functional = keras.Model(token_ids, x)
    sequential = keras.Sequential([token_ids, *layers()])

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = layers()

        def call(self, x):
            for layer in self.parts:
                x = layer(x)
            return x

    for model in (functional, sequential, Subclassed()):
        answers = kbm.generate(model, PROMPTS, max_new_tokens=5)
        assert_greedy(model, PROMPTS, answers)


def test_long_prompts_are_read_in_pieces(monkeypatch):
    monkeypatch.setattr(program, "PREFILL_CHUNK", 5)
    for window in (None, 4):
        model = kbm.models.decoder_lm(
            37, 64, 2, 2, 16, sliding_window=window, num_key_value_heads=1
        )
        lively(model)
        rows = [[(7 * i) % 37 for i in range(n)] for n in (1, 6, 17, 11)]
        answers = kbm.generate(model, rows, max_new_tokens=6)
        assert_greedy(model, rows, answers)


def test_cached_logits_are_those_of_the_whole_pass(model):
    row = PROMPTS[0]
    made = kbm.generate(model, row, max_new_tokens=8, details=True)
    logits = reference.logits_of(model, row + made.token_ids[:-1])
    logits = logits[len(row) - 1 :]
    scores = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    chosen = scores[np.arange(8), made.token_ids]
    np.testing.assert_allclose(made.log_probabilities, chosen, atol=1e-4)
    assert made.finish_reason == "length"
    assert made.text is None


def test_a_row_does_not_depend_on_its_neighbours(model):
    sampler = kbm.samplers.Sample(temperature=1.5, top_k=20, top_p=0.9)
    options = {"max_new_tokens": 9, "sampler": sampler}
    together = kbm.generate(model, PROMPTS, seed=[3, 5, 3], **options)
    alone = [
        kbm.generate(model, prompt, seed=seed, **options)
        for prompt, seed in zip(PROMPTS, (3, 5, 3), strict=True)
    ]
    assert together == alone
    assert kbm.generate(model, PROMPTS, seed=3, **options) != together


def test_seeds_make_answers_reproducible(model):
    options = {"max_new_tokens": 12, "sampler": "sample"}
    first = kbm.generate(model, [1, 2], seed=11, **options)
    assert kbm.generate(model, [1, 2], seed=11, **options) == first
    others = {
        tuple(kbm.generate(model, [1, 2], seed=seed, **options))
        for seed in range(12, 20)
    }
    assert len(others) > 4
    assert kbm.generate(model, [1, 2], **options) != kbm.generate(
        model, [1, 2], **options
    )


def test_stop_ids_end_a_row(model):
    whole = kbm.generate(model, PROMPTS, max_new_tokens=9)
    stop = whole[0][4]
    made = kbm.generate(
        model, PROMPTS, max_new_tokens=9, stop=stop, details=True
    )
    for row, full in zip(made, whole, strict=True):
        cut = full.index(stop) if stop in full else 9
        assert row.token_ids == full[:cut]
        assert len(row.log_probabilities) == cut
        assert row.finish_reason == ("stop" if stop in full else "length")


def test_streams_give_what_a_call_gives(model):
    whole = kbm.generate(model, PROMPTS, max_new_tokens=19)
    pieces = list(kbm.generate(model, PROMPTS, max_new_tokens=19, stream=True))
    # The first token does not wait for others.
    assert [len(piece[0]) for piece in pieces] == [1, 8, 8, 2]
    assert [sum(row, []) for row in zip(*pieces, strict=True)] == whole


@pytest.mark.tensorflow
def test_text_streams_whole_characters():
    tokenizer = ByteTokenizer()
    text = "猫 cat 🐈‍⬛ 黒い! "
    model = echo_model(tokenizer, text)
    options = {"max_new_tokens": len(text[2:].encode())}
    pieces = list(
        kbm.generate(model, text[:2], tokenizer, stream=True, **options)
    )
    once = kbm.generate(model, text[:2], tokenizer, **options)
    assert "".join(pieces) == once == text[2:]
    assert len(pieces) > 1
    assert "\ufffd" not in once


def echo_model(tokenizer, text):
    """Returns a model that always goes on with the bytes of a text.

    Learned positions alone tell it the next byte: one-hot rows select it.
    """
    row = tokenizer.encode([text])[0]
    size = tokenizer.vocabulary_size
    token_ids = keras.Input((None,), dtype="int32")
    embedding = kbm.layers.TokenEmbedding(
        size, size, embeddings_initializer="zeros"
    )
    positions = kbm.layers.LearnedPositionEncoding(len(row) + 40)
    x = positions(embedding(token_ids))
    model = keras.Model(token_ids, x)
    table = np.zeros(positions.embeddings.shape, "float32")
    for index, byte in enumerate(row[1:]):
        table[index, byte] = 1.0
    positions.embeddings.assign(table)
    return model


@pytest.mark.tensorflow
@pytest.mark.parametrize("stream", [False, True])
def test_stop_strings_are_left_out(stream):
    tokenizer = ByteTokenizer()
    text = "one two three four five six seven"
    model = echo_model(tokenizer, text)
    made = kbm.generate(
        model,
        "one",
        tokenizer,
        max_new_tokens=30,
        stop=["four", "e fo", "zzz"],
        stream=stream,
    )
    assert "".join(made) == " two thre"


@pytest.mark.tensorflow
def test_end_ids_stop_and_are_left_out():
    tokenizer = ByteTokenizer()
    model = echo_model(tokenizer, "ab\0")
    positions = model.layers[-1]
    table = keras.ops.convert_to_numpy(positions.embeddings)
    table = table * (np.arange(len(table)) != 1)[:, None]
    table[1, tokenizer.end_id] = 1.0
    positions.embeddings.assign(table)
    made = kbm.generate(model, "a", tokenizer, max_new_tokens=3, details=True)
    assert (made.text, made.finish_reason) == ("b", "stop")


@pytest.mark.tensorflow
def test_traces_are_bounded():
    model = kbm.models.decoder_lm(37, 64, 1, 2, 8)
    for length in range(1, 25, 7):
        for batch in (1, 2, 3):
            rows = [[1] * length] * batch
            kbm.generate(model, rows, max_new_tokens=length)
            sampler = kbm.samplers.Sample(temperature=length / 7)
            kbm.generate(model, rows, max_new_tokens=3, sampler=sampler)
    programs = model.__dict__["_keras_bigmodel_programs"].values()
    assert sum(program.num_traces for program in programs) == 2


@pytest.mark.tensorflow
def test_xla_gives_the_same_tokens(model):
    plain = kbm.generate(model, PROMPTS, max_new_tokens=5)
    assert plain == kbm.generate(
        model, PROMPTS, max_new_tokens=5, jit_compile=True
    )


def test_generation_leaves_the_model_as_it_was(model, tmp_path):
    before = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    kbm.generate(model, PROMPTS, max_new_tokens=2)
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(new))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert kbm.generate(again, PROMPTS, max_new_tokens=4) == kbm.generate(
        model, PROMPTS, max_new_tokens=4
    )


def test_bfloat16_caches_stay_near(model):
    exact = kbm.generate(model, PROMPTS, max_new_tokens=3, details=True)
    rounded = kbm.generate(
        model, PROMPTS, max_new_tokens=3, details=True, cache_dtype="bfloat16"
    )
    for a, b in zip(exact, rounded, strict=True):
        assert a.log_probabilities[0] == pytest.approx(
            b.log_probabilities[0], abs=0.3
        )


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([],), {}, "at least one prompt"),
        (([[]],), {}, "empty prompt needs"),
        ((["text"],), {}, "need a tokenizer"),
        (([[37]],), {}, "from 0 to 36.*token_id=37"),
        (([[-1]],), {}, "token_id=-1"),
        (([[1.5]],), {}, "must be integers"),
        (([[1], "a"],), {}, "need a tokenizer"),
        (([[1] * 30],), {"max_new_tokens": 3}, "30 tokens and 3 new ones"),
        (([1],), {"max_new_tokens": 0}, "positive integer.*=0"),
        (([1],), {"max_new_tokens": -2}, "positive integer.*=-2"),
        (([1],), {"stop": "text"}, "Stop strings need a tokenizer"),
        (([1],), {"stop": [""]}, "not empty"),
        (([1],), {"stop": [1.5]}, "token ids and strings"),
        (([1],), {"sampler": "best"}, "must be one of .*'best'"),
        (([1],), {"sampler": 3}, "name or one of"),
        (([1],), {"seed": [1, 2]}, "one for each prompt"),
        (([1],), {"seed": 1.5}, "whole numbers.*=1.5"),
        (([1],), {"stop": 37}, "from 0 to 36.*stop=37"),
        (([1],), {"max_new_tokens": True}, "positive integer"),
        ((None,), {}, "`prompts` must be a list"),
        (([[[1]]],), {}, "must be integers"),
        (([1],), {"prefix": "Hi"}, "must be a `kbm.generation.Prefix`"),
        (([1],), {"processors": ["Hi"]}, "are of `kbm.generation`"),
        (
            ([1],),
            {"processors": [kbm.generation.BannedTokens(range(37))]},
            "Some token must be left",
        ),
        (([1],), {"stream": True, "details": True}, "pieces, not details"),
    ],
)
def test_bad_input_is_refused(model, arguments, options, message):
    options = {"max_new_tokens": 3, **options}
    with pytest.raises(ValueError, match=message):
        kbm.generate(model, *arguments, **options)
