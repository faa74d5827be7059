import keras
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.cli.costs import estimate

pytestmark = pytest.mark.tensorflow


def test_gpt2_like_model_by_hand():
    model = kbm.models.decoder_lm(
        101, 32, 3, 2, 8, 40, position_encoding="learned"
    )
    costs = estimate(model, context=7)
    block = 4 * 8 * 8 + 2 * 8 * 40
    assert costs.active_parameters == 3 * block + 101 * 8
    assert costs.flops_per_token == 2 * costs.active_parameters + 3 * 4 * 7 * 8
    assert costs.training_flops_per_token == 3 * costs.flops_per_token
    assert costs.cache_bytes_per_token == 3 * 2 * 8 * 4
    assert costs.parameters == model.count_params()
    assert costs.weight_bytes == 4 * costs.parameters
    assert costs.training_bytes == 16 * costs.parameters


def test_options_that_change_the_costs():
    model = kbm.models.decoder_lm(
        101,
        32,
        3,
        4,
        8,
        40,
        num_key_value_heads=2,
        sliding_window=5,
        num_experts=4,
        experts_per_token=2,
        gated=True,
        use_bias=False,
        tie_embeddings=False,
        dtype="bfloat16",
    )
    costs = estimate(model, context=7)
    attention = 2 * 8 * 8 + 2 * 8 * 4
    experts = 8 * 4 + 2 * 3 * 8 * 40
    assert costs.active_parameters == 3 * (attention + experts) + 101 * 8
    assert costs.flops_per_token == 2 * costs.active_parameters + 3 * 4 * 5 * 8
    assert costs.cache_bytes_per_token == 3 * 2 * 4 * 2
    assert costs.weight_bytes < 4 * costs.parameters


def test_models_from_other_layers_count_their_kernels():
    ids = keras.Input((None,), dtype="int32")
    x = kbm.layers.TokenEmbedding(11, 6)(ids)
    model = keras.Model(ids, keras.layers.Dense(11)(x))
    assert estimate(model, context=5).flops_per_token == 2 * 6 * 11


def test_energy_names_what_computes():
    model = kbm.models.decoder_lm(101, 32, 1, 2, 8)
    joules = estimate(model, context=1).joules(1e12)
    assert joules == {"CPU": 100.0, "accelerator": 2.0}
