import math

import keras
import numpy as np
import pytest

from keras_bigmodel.cli.scoring import score
from keras_bigmodel.text import BytePairTokenizer

pytestmark = pytest.mark.tensorflow

DOCUMENTS = ["to be or not to be", "that is the question, 二", "x"]


@pytest.fixture(scope="module")
def tokenizer():
    return BytePairTokenizer.train(DOCUMENTS, 263)


def bigrams(vocabulary_size):
    """A model that looks one token back: windows cannot matter to it."""
    ids = keras.Input((None,), dtype="int32")
    logits = keras.layers.Embedding(vocabulary_size, vocabulary_size)(ids)
    return keras.Model(ids, 9 * logits)


@pytest.mark.parametrize("sequence_length", [4, 5, 38])
def test_every_token_counts_once(tokenizer, sequence_length):
    model = bigrams(tokenizer.vocabulary_size)
    result = score(model, tokenizer, DOCUMENTS, sequence_length, batch_size=3)

    table = 9 * model.weights[0].numpy().astype("float64")
    table -= np.log(np.exp(table).sum(-1, keepdims=True))
    # One token ends a document and starts the next.
    assert tokenizer.start_id == tokenizer.end_id
    stream = [tokenizer.start_id]
    for ids in tokenizer.encode(DOCUMENTS):
        stream += [*ids, tokenizer.end_id]
    nats = -sum(table[a, b] for a, b in zip(stream, stream[1:], strict=False))
    assert result.tokens == len(stream) - 1
    assert result.text_bytes == sum(len(d.encode()) for d in DOCUMENTS)
    np.testing.assert_allclose(result.nats, nats, rtol=1e-5)
    np.testing.assert_allclose(
        result.bits_per_byte, nats / math.log(2) / result.text_bytes, rtol=1e-5
    )
    np.testing.assert_allclose(
        result.perplexity, math.exp(nats / result.tokens), rtol=1e-5
    )


def test_less_than_a_window_is_refused(tokenizer):
    with pytest.raises(ValueError, match="shorter than one window.*Received"):
        score(bigrams(263), tokenizer, DOCUMENTS, 39)


def test_half_a_window_of_context_is_kept(tokenizer):
    """A model that must see the token four back to be sure."""
    ids = keras.Input((None,), dtype="int32")

    def echo(ids):
        back = keras.ops.pad(ids, ((0, 0), (4, 0)))[:, :-4]
        return 50 * keras.ops.one_hot(back, tokenizer.vocabulary_size)

    model = keras.Model(ids, keras.layers.Lambda(echo)(ids))
    document = "abcde" * 30
    (tokens,) = tokenizer.encode([document])
    assert len(tokens) == len(document)
    result = score(model, tokenizer, [document], 8)
    # Only the first five, what starts and what ends the text are surprises.
    assert result.nats < 50 * 7
