import pytest
import tensorflow as tf

from keras_bigmodel.export import guards

LIMITS = guards.Limits(text_bytes=23, word_bytes=7, batch_tokens=5)


def in_graph(function, *arguments):
    return tf.function(function, autograph=False)(*arguments)


def check_texts(texts):
    texts = tf.constant(texts, tf.string)
    return in_graph(lambda x: guards.check_texts(x, LIMITS, "prompts"), texts)


@pytest.mark.parametrize("name", ["text_bytes", "word_bytes", "batch_tokens"])
@pytest.mark.parametrize("value", [0, -1, 1.5, None])
def test_limits_are_positive(name, value):
    with pytest.raises(
        ValueError, match=f"{name}.*positive.*Received: {name}="
    ):
        guards.Limits(**{name: value})


def test_texts_within_the_limits_pass():
    texts = [b"a" * 7 + b" " * 16, b"", b"  \n ", b"\xff\x00 \xe4", b"1234567"]
    assert check_texts(texts).numpy().tolist() == texts
    assert check_texts([b"  "]).numpy().tolist() == [b"  "]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "`prompts` is empty"),
        (["a", "b " * 12], "`prompts` has 24 bytes; this model takes 23"),
        (["a", "x 你好你"], "word in `prompts` has 9 bytes.* takes 7"),
        ([["a"]], "Shape of tensor|compatible"),
        ("a", "Shape of tensor|compatible"),
    ],
)
def test_other_texts_are_refused(texts, message):
    texts = tf.constant(texts, tf.string)

    @tf.function(
        autograph=False, input_signature=[tf.TensorSpec(None, tf.string)]
    )
    def check(texts):
        return guards.check_texts(texts, LIMITS, "prompts")

    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        check(texts)


@pytest.mark.parametrize(
    ("token_ids", "lengths", "message"),
    [
        ([[1, 2], [3, 4]], [1], "there are 1 and 2"),
        ([[1, 2]], [3], "from 1 to the width of `token_ids`, 2"),
        ([[1, 2]], [0], "from 1 to the width"),
        ([[1, 11]], [2], "from 0 to 10"),
        ([[-1, 2]], [1], "from 0 to 10"),
        (tf.zeros([0, 2], tf.int32), [], "there are 0 and 0"),
    ],
)
def test_ids_that_do_not_fit_are_refused(token_ids, lengths, message):
    arguments = tf.constant(token_ids), tf.constant(lengths, tf.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        in_graph(lambda x, n: guards.check_ids(x, n, 11), *arguments)


def test_padding_may_hold_anything():
    token_ids, lengths = tf.constant([[10, -7], [0, 3]]), tf.constant([1, 2])
    checked, _ = in_graph(
        lambda x, n: guards.check_ids(x, n, 11), token_ids, lengths
    )
    assert checked.numpy().tolist() == [[10, 0], [0, 3]]


def test_nothing_is_computed_after_a_refusal():
    calls = tf.Variable(0)

    @tf.function(autograph=False)
    def guarded(x):
        x = guards.after([guards.require(x < 3, "too large: ", x)], x)
        with tf.control_dependencies([x]):
            calls.assign_add(1)
        return x

    assert guarded(tf.constant(2)).numpy() == 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="too large: 4"):
        guarded(tf.constant(4))
    assert calls.numpy() == 1
