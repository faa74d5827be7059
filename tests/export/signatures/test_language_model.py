import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from tests.export.signatures.helpers import check_examples, serve

PROMPTS = ["Once", "", "a longer: 你好"]


@pytest.fixture(scope="module")
def served(language_model):
    return tf.saved_model.load(str(language_model.folder)).signatures


def options(rows, **changes):
    values = {
        "max_new_tokens": 11,
        "temperature": 0.0,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "seed": 0,
        **changes,
    }
    return {name: tf.fill([rows], value) for name, value in values.items()}


def test_answers_are_those_in_memory(language_model, served):
    answer = served["serving_default"](prompts=tf.constant(PROMPTS))
    details = kbm.generate(
        language_model.model,
        PROMPTS,
        language_model.tokenizer,
        max_new_tokens=11,
        details=True,
    )
    texts = [text.decode() for text in answer["text"].numpy()]
    assert texts == [row.text for row in details]
    for row, raw in zip(details, answer["text_bytes"].numpy(), strict=True):
        assert raw == bytes(row.token_ids)


def test_rows_do_not_depend_on_their_neighbours(served):
    mixed = {
        "temperature": tf.constant([0.0, 0.9, 0.7]),
        "top_k": tf.constant([0, 7, 0]),
        "top_p": tf.constant([1.0, 1.0, 0.9]),
        "min_p": tf.constant([0.0, 0.0, 0.01]),
        "repetition_penalty": tf.constant([1.0, 1.3, 1.0]),
        "seed": tf.constant([0, 3, 5]),
        "max_new_tokens": tf.constant([5, 11, 2]),
    }
    together = served["generate"](prompts=tf.constant(PROMPTS), **mixed)
    for row in range(3):
        alone = served["generate"](
            prompts=tf.constant(PROMPTS[row : row + 1]),
            **{name: value[row : row + 1] for name, value in mixed.items()},
        )
        for name in alone:
            assert alone[name].numpy()[0] == together[name].numpy()[row], name
    assert together["num_tokens"].numpy().tolist() == [5, 11, 2]


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (["a"] * 17, "17 rows of 1 tokens and 11 new ones .* the 200 tokens"),
        (["a " * 19], "38 tokens and 11 new ones .* this model, 47 tokens"),
        (["a" * 38], "A word in `prompts` has 38 bytes"),
        (["a " * 51], "102 bytes"),
        ([], "`prompts` is empty"),
    ],
)
def test_too_much_is_refused(served, prompts, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served["serving_default"](prompts=tf.constant(prompts, tf.string))


def test_a_bad_option_is_refused(served):
    with pytest.raises(tf.errors.InvalidArgumentError, match="it is nan"):
        served["generate"](
            prompts=tf.constant(["a"]), **options(1, temperature=np.nan)
        )
    with pytest.raises(tf.errors.InvalidArgumentError, match="from 1 to 23"):
        served["generate"](
            prompts=tf.constant(["a"]), **options(1, max_new_tokens=24)
        )


def test_without_a_tokenizer_ids_are_served():
    model = kbm.models.lstm_lm(13, 1, 5)
    traced, signatures = serve(model)
    assert set(traced) == {"serving_default", "generate_ids"}
    check_examples(traced, signatures)
    with pytest.raises(tf.errors.InvalidArgumentError, match="from 0 to 12"):
        traced["serving_default"](
            token_ids=tf.constant([[13]]), lengths=tf.constant([1])
        )


def test_the_end_token_stops_and_is_no_part_of_the_answer():
    tokenizer = kbm.text.ByteTokenizer()
    model = kbm.models.lstm_lm(259, 1, 5)
    made = kbm.generate(model, tokenizer.encode(["ab"])[0], max_new_tokens=3)
    tokenizer.end_id = made[2]
    first = made.index(made[2])
    traced, _ = serve(model, tokenizer)
    answer = traced["serving_default"](prompts=tf.constant(["ab"]))
    assert answer["num_tokens"].numpy().tolist() == [first]
    assert answer["finish_reason"].numpy().tolist() == [b"stop"]
    assert answer["text_bytes"].numpy()[0] == bytes(made[:first])


@pytest.mark.parametrize("max_new_tokens", [0, -1, 13, 2.5, None])
def test_an_answer_must_fit_the_context(max_new_tokens):
    model = kbm.models.lstm_lm(13, 1, 5, max_sequence_length=13)
    with pytest.raises(ValueError, match="1 to 12.*Received: max_new_tokens="):
        serve(model, max_new_tokens=max_new_tokens)
