import numpy as np
import pytest
import tensorflow as tf

PROMPTS = ["Once", "é 你好"]


@pytest.fixture(scope="module")
def served(language_model):
    return tf.saved_model.load(str(language_model.folder)).signatures


def options():
    return {
        "max_new_tokens": tf.constant([11, 4]),
        "temperature": tf.constant([0.0, 0.8]),
        "top_k": tf.constant([0, 9]),
        "top_p": tf.constant([1.0, 0.9]),
        "min_p": tf.constant([0.0, 0.0]),
        "repetition_penalty": tf.constant([1.0, 1.2]),
        "seed": tf.constant([0, 3]),
    }


def state_of(answer):
    return {k: v for k, v in answer.items() if k.startswith("state_")}


@pytest.mark.parametrize("steps", [[1] * 11, [3, 5, 3], [23]])
def test_steps_make_what_one_call_makes(served, steps):
    prompts = tf.constant(PROMPTS)
    whole = served["generate"](prompts=prompts, **options())
    answer = served["prefill"](prompts=prompts, **options())
    before = [b"", b""]
    for count in steps:
        answer = served["decode"](
            num_tokens=tf.constant([count, count]), **state_of(answer)
        )
        texts = answer["text_bytes"].numpy().tolist()
        for text, start in zip(texts, before, strict=True):
            assert text.startswith(start)
        before = texts
    for name in whole:
        assert answer[name].numpy().tolist() == whole[name].numpy().tolist()


def test_a_state_may_be_used_again(served):
    answer = served["prefill"](prompts=tf.constant(PROMPTS), **options())
    state = state_of(answer)
    kept = {name: value.numpy() for name, value in state.items()}
    first, second = (
        served["decode"](num_tokens=tf.constant([5, 5]), **state)
        for _ in range(2)
    )
    assert first["text_bytes"].numpy().tolist() == (
        second["text_bytes"].numpy().tolist()
    )
    for name, value in kept.items():
        np.testing.assert_array_equal(state[name].numpy(), value)


def test_a_row_that_goes_on_has_no_reason_yet(served):
    answer = served["prefill"](prompts=tf.constant(PROMPTS), **options())
    answer = served["decode"](
        num_tokens=tf.constant([4, 4]), **state_of(answer)
    )
    assert answer["finish_reason"].numpy().tolist() == [b"", b"length"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_tokens": [0, 1]}, "from 1 to 23"),
        ({"num_tokens": [1, 2**31 - 1]}, "from 1 to 23"),
        ({"num_tokens": [1]}, "one row for each entry"),
        ({"num_tokens": np.zeros(0, "int32")}, "one row for each entry"),
    ],
)
def test_bad_steps_are_refused(served, change, message):
    answer = served["prefill"](prompts=tf.constant(PROMPTS), **options())
    inputs = {"num_tokens": [1, 1], **state_of(answer), **change}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served["decode"](**{k: tf.constant(v) for k, v in inputs.items()})


def test_a_broken_state_is_refused_or_answered(served):
    answer = served["prefill"](prompts=tf.constant(PROMPTS), **options())
    state = state_of(answer)
    for name, value in state.items():
        for broken in (value[:1], -tf.ones_like(value, tf.int32) * 10**9):
            if broken.dtype != value.dtype:
                broken = tf.cast(broken, value.dtype)
            inputs = {**state, name: broken}
            try:
                served["decode"](num_tokens=tf.constant([1, 1]), **inputs)
            except tf.errors.InvalidArgumentError:
                pass
