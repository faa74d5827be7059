import keras
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.layers import DecodingScope, TokenEmbedding
from tests.layer_case import to_numpy
from tests.layer_checks import check_layer

TOKENS = np.array([[5, 0, 3], [7, 2, 0]], "int32")


def test_all_checks():
    def expected(token_ids, weights):
        return weights["embeddings"][token_ids.astype(int)] * np.sqrt(5)

    check_layer(
        TokenEmbedding,
        {"vocabulary_size": 11, "hidden_dim": 5, "scale": True},
        TOKENS,
        (2, 3, 5),
        expected,
        stateful=True,
        masks={},
        output_mask=None,
    )


def test_the_way_back_scores_all_tokens():
    layer = TokenEmbedding(11, 5, logit_soft_cap=0.3)
    layer(TOKENS)
    layer.embeddings.assign(
        np.random.default_rng(0).normal(size=(11, 5)).astype("float32")
    )
    hidden = np.random.default_rng(1).normal(size=(2, 3, 5)).astype("float32")
    found = to_numpy(layer(hidden, reverse=True))
    products = hidden.astype("float64") @ to_numpy(layer.embeddings).T
    expected = 0.3 * np.tanh(products / 0.3)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("options", [{"pad_id": 0}, {"mask_zero": True}])
def test_padding_is_masked(options):
    layer = TokenEmbedding(11, 5, **options)
    mask = to_numpy(layer(TOKENS)._keras_mask)
    np.testing.assert_array_equal(mask, TOKENS != 0)
    assert layer.get_config()["pad_id"] == 0


def test_factors():
    plain = TokenEmbedding(11, 5)
    plain(TOKENS)
    scaled = TokenEmbedding(11, 5, scale=3.0)
    scaled(TOKENS)
    scaled.embeddings.assign(plain.embeddings)
    np.testing.assert_allclose(
        to_numpy(scaled(TOKENS)), 3.0 * to_numpy(plain(TOKENS)), rtol=1e-6
    )


def test_large_ids_survive_low_precision():
    layer = TokenEmbedding(600, 5, dtype="bfloat16")
    found = to_numpy(layer(np.array([[511, 513]])))
    table = to_numpy(layer.embeddings)
    np.testing.assert_array_equal(found[0], table[[511, 513]])


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least 1.*vocabulary_size=0"):
        TokenEmbedding(0, 5)
    with pytest.raises(ValueError, match="in the vocabulary.*pad_id=11"):
        TokenEmbedding(11, 5, pad_id=11)
    with pytest.raises(ValueError, match="padding is id 0.*pad_id=3"):
        TokenEmbedding(11, 5, pad_id=3, mask_zero=True)
    layer = TokenEmbedding(11, 5, max_sequence_length=2)
    with pytest.raises(ValueError, match="max_sequence_length=2"):
        layer(TOKENS)
    with pytest.raises(ValueError, match="integers"):
        layer(TOKENS[:, :2].astype("float32"))
    with pytest.raises(ValueError, match="Hidden states must be.*hidden_dim=5"):
        layer(np.ones((1, 2, 4), "float32"), reverse=True)
    with (
        pytest.raises(ValueError, match="max_sequence_length=2"),
        DecodingScope(max_length=5),
    ):
        layer(TOKENS)


@pytest.mark.parametrize("rows", [1, 3, 4, 9])
def test_a_large_table_is_multiplied_by_parts_while_decoding(rows):
    layer = TokenEmbedding(5003, 8)
    hidden = np.random.default_rng(rows).normal(size=(rows, 1, 8))
    layer(np.zeros((1, 1), "int32"))
    expected = hidden @ to_numpy(layer.embeddings).astype("float64").T
    with DecodingScope(4):
        logits = layer(hidden.astype("float32"), reverse=True)
    np.testing.assert_allclose(to_numpy(logits), expected, atol=1e-6)


def test_a_large_table_is_multiplied_in_a_graph_of_any_batch():
    inputs = keras.Input((None,), dtype="int32")
    embedding = TokenEmbedding(5003, 8, embeddings_initializer="normal")
    model = keras.Model(inputs, embedding(embedding(inputs), reverse=True))
    prompts = np.arange(12).reshape(6, 2)
    together = kbm.generate(model, prompts.tolist(), max_new_tokens=3)
    alone = [kbm.generate(model, p, max_new_tokens=3) for p in prompts.tolist()]
    assert together == alone
    table = to_numpy(embedding.embeddings).astype("float64")
    best = np.argmax(table[prompts[:, -1]] @ table.T, axis=1)
    assert [answer[0] for answer in together] == best.tolist()
