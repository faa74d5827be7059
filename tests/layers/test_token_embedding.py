import numpy as np
import pytest

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
