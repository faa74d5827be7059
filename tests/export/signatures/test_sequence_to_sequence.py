import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from tests.export.signatures.helpers import check_examples, serve

BYTES = kbm.text.ByteTokenizer()


@pytest.mark.parametrize(
    "make",
    [
        lambda: kbm.models.encoder_decoder(259, 259, 31, 1, 2, 8, pad_id=256),
        lambda: kbm.models.gru_seq2seq(
            259, 259, 1, 7, attention=True, pad_id=256
        ),
    ],
    ids=["transformer", "gru"],
)
def test_answers_are_those_of_whole_passes(make):
    traced, signatures = serve(make(), (BYTES, BYTES))
    assert set(traced) == {
        "serving_default",
        "generate",
        "generate_ids",
        "score",
        "prefill",
        "decode",
    }
    check_examples(traced, signatures)
    check_steps(traced, signatures)


def check_steps(traced, signatures):
    """Steps of a stream make what one call makes."""
    (example,) = signatures["prefill"].examples()
    inputs = signatures["prefill"].arrays(example)
    inputs = {name: tf.constant(value) for name, value in inputs.items()}
    whole = traced["generate"](**inputs)
    answer = traced["prefill"](**inputs)
    reasons = [b""]
    while not all(reasons):
        state = {k: v for k, v in answer.items() if k.startswith("state_")}
        num_tokens = tf.fill([len(example["source_texts"])], 2)
        answer = traced["decode"](num_tokens=num_tokens, **state)
        reasons = answer["finish_reason"].numpy().tolist()
    for name in whole:
        assert answer[name].numpy().tolist() == whole[name].numpy().tolist()


@pytest.mark.parametrize("name", ["byte", "unigram"])
def test_targets_are_scored_as_in_training(name):
    tokenizer = BYTES
    if name == "unigram":
        # T5's, which puts an end token behind texts, and starts with padding.
        tokenizer = kbm.text.UnigramTokenizer.train(
            ["one text", "two texts and more"] * 9, 40
        )
        tokenizer.start_id = tokenizer.pad_id
    size = tokenizer.vocabulary_size
    pad_id = tokenizer.pad_id
    model = kbm.models.encoder_decoder(size, size, 31, 1, 2, 8, pad_id=pad_id)
    traced, _ = serve(model, tokenizer)
    pairs = [("one", "two texts"), ("text and", "one")]
    answer = traced["score"](
        source_texts=tf.constant([source for source, _ in pairs]),
        target_texts=tf.constant([target for _, target in pairs]),
    )
    dataset = kbm.text.seq2seq_dataset(
        pairs, tokenizer, sequence_length=31, batch_size=1
    )
    for row, (inputs, labels, weights) in enumerate(dataset):
        logits = np.asarray(model(inputs), "float64")
        scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        scores = np.take_along_axis(scores, labels.numpy()[..., None], -1)
        likelihood = (scores[..., 0] * weights.numpy()).sum()
        count = int(weights.numpy().sum())
        assert answer["num_tokens"].numpy()[row] == count
        np.testing.assert_allclose(
            answer["log_likelihood"].numpy()[row], likelihood, rtol=1e-4
        )
        np.testing.assert_allclose(
            answer["perplexity"].numpy()[row],
            np.exp(-likelihood / count),
            rtol=1e-4,
        )


def test_pairs_must_be_pairs():
    model = kbm.models.encoder_decoder(259, 259, 31, 1, 2, 8, pad_id=256)
    traced, _ = serve(model, BYTES)
    with pytest.raises(tf.errors.InvalidArgumentError, match="equally many"):
        traced["score"](
            source_texts=tf.constant(["ab"]),
            target_texts=tf.constant(["c"] * 2),
        )
    with pytest.raises(tf.errors.InvalidArgumentError, match="do not fit"):
        traced["score"](
            source_texts=tf.constant(["ab"]),
            target_texts=tf.constant(["c" * 40]),
        )


def test_without_padding_rows_must_be_as_long():
    model = kbm.models.gru_seq2seq(259, 259, 1, 7)
    traced, signatures = serve(model, BYTES)
    check_examples(traced, signatures)
    serve_texts = traced["serving_default"]
    answer = serve_texts(source_texts=tf.constant(["ab", "cd"]))
    assert answer["text"].shape == (2,)
    with pytest.raises(tf.errors.InvalidArgumentError, match="no padding"):
        serve_texts(source_texts=tf.constant(["ab", "c"]))


def test_bad_arguments():
    model = kbm.models.gru_seq2seq(259, 259, 1, 7, max_sequence_length=13)
    tokenizer = kbm.text.ByteTokenizer()
    tokenizer.start_id = None
    with pytest.raises(ValueError, match="start token.*Received: tokenizer="):
        serve(model, (BYTES, tokenizer))
    with pytest.raises(ValueError, match="from 1 to 12.*max_new_tokens=13"):
        serve(model, BYTES, max_new_tokens=13)
