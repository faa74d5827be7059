import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from keras_bigmodel.export.signatures import scoring
from tests.export.signatures.helpers import serve

BYTES = kbm.text.ByteTokenizer()


@pytest.mark.parametrize("piece", [1, 3, 512])
def test_scores_are_those_of_whole_passes(piece, monkeypatch):
    monkeypatch.setattr(scoring, "LONGEST_PIECE", piece)
    model = kbm.models.decoder_lm(259, 31, 1, 2, 8)
    traced, signatures = serve(model, BYTES)
    texts = ["abcdefg", "x", "é 1"]
    answer = traced["score"](texts=tf.constant(texts))
    for row, text in enumerate(texts):
        ids = BYTES.encode([text])[0]
        logits = np.asarray(model(np.array([ids]))[0], "float64")
        scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        scores = scores[np.arange(len(ids) - 1), ids[1:]]
        came = answer["token_log_probabilities"].numpy()[row]
        np.testing.assert_allclose(came[1 : len(ids)], scores, atol=1e-4)
        assert not came[len(ids) :].any() and came[0] == 0
        assert answer["num_tokens"].numpy()[row] == len(ids) - 1
        np.testing.assert_allclose(
            answer["log_likelihood"].numpy()[row], scores.sum(), atol=1e-4
        )
        perplexity = np.exp(-scores.mean()) if len(scores) else 1
        np.testing.assert_allclose(
            answer["perplexity"].numpy()[row], perplexity, rtol=1e-4
        )


def test_a_text_must_fit(language_model):
    served = tf.saved_model.load(str(language_model.folder)).signatures
    with pytest.raises(tf.errors.InvalidArgumentError, match="47 tokens"):
        served["score"](texts=tf.constant(["a " * 24]))
