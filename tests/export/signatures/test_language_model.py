import pytest
import tensorflow as tf

import keras_bigmodel as kbm


@pytest.fixture(scope="module")
def served(language_model):
    return tf.saved_model.load(str(language_model.folder)).signatures


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


def test_without_a_tokenizer_ids_are_served(tmp_path):
    model = kbm.models.decoder_lm(13, 19, 1, 2, 8)
    folder = kbm.export_saved_model(
        model, tmp_path, max_new_tokens=5, prove=False
    )
    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    answer = served(
        token_ids=tf.constant([[1, 2, 3], [4, -1, -1]]),
        lengths=tf.constant([3, 1]),
    )
    rows = kbm.generate(model, [[1, 2, 3], [4]], max_new_tokens=5)
    assert answer["token_ids"].numpy().tolist() == rows
    assert answer["num_tokens"].numpy().tolist() == [5, 5]
    assert set(answer["finish_reason"].numpy()) == {b"length"}


def test_the_end_token_stops_and_is_no_part_of_the_answer(tmp_path):
    tokenizer = kbm.text.ByteTokenizer()
    model = kbm.models.decoder_lm(259, 31, 1, 2, 8)
    prompt = "ab"
    third = kbm.generate(model, tokenizer.encode([prompt])[0], max_new_tokens=3)
    tokenizer.end_id = third[2]
    first = third.index(third[2])
    folder = kbm.export_saved_model(
        model, tmp_path, tokenizer, max_new_tokens=7, prove=False
    )
    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    answer = served(prompts=tf.constant([prompt]))
    assert answer["num_tokens"].numpy().tolist() == [first]
    assert answer["finish_reason"].numpy().tolist() == [b"stop"]
    assert answer["text_bytes"].numpy()[0] == bytes(third[:first])
