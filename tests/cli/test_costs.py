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
    assert costs.flops_per_unit == 2 * costs.active_parameters + 3 * 4 * 7 * 8
    assert costs.training_flops_per_unit == 3 * costs.flops_per_unit
    assert costs.cache_bytes_per_unit == 3 * 2 * 8 * 4
    assert costs.parameters == model.count_params()
    assert costs.weight_bytes == 4 * costs.parameters
    # Query, key, value, output; up, down; the logits.
    widths = 3 * (4 * 16 + 2 * 48) + 8 + 101
    assert costs.activation_bytes_per_unit == 4 * widths
    assert costs.training_bytes(2) == 16 * costs.parameters + 8 * 7 * widths
    assert costs.serving_bytes(2) == costs.weight_bytes + 2 * 7 * 3 * 64
    assert costs.unit == "token"


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
    assert costs.flops_per_unit == 2 * costs.active_parameters + 3 * 4 * 5 * 8
    assert costs.cache_bytes_per_unit == 3 * 2 * 4 * 2
    assert costs.weight_bytes < 4 * costs.parameters


def test_an_encoder_keeps_no_cache():
    trunk = kbm.models.encoder(101, 32, 3, 2, 8, 40, num_segments=2)
    costs = estimate(trunk, context=7)
    matrices = 3 * (4 * 8 * 8 + 2 * 8 * 40)
    assert costs.flops_per_unit == 2 * matrices + 3 * 4 * 7 * 8
    assert costs.cache_bytes_per_unit == 0
    head = estimate(kbm.models.masked_lm(trunk), context=7)
    extra = 2 * (8 * 8 + 101 * 8)
    assert head.flops_per_unit == costs.flops_per_unit + extra


def test_an_encoder_decoder_counts_both_sides():
    model = kbm.models.encoder_decoder(101, 103, 32, 3, 2, 8, 40)
    costs = estimate(model, context=7)
    matrices = 3 * (3 * 4 * 8 * 8 + 2 * 2 * 8 * 40) + 103 * 8
    assert costs.unit == "pair"
    assert costs.flops_per_unit == 2 * matrices + 3 * 3 * 4 * 7 * 8
    assert costs.cache_bytes_per_unit == 3 * 2 * 2 * 8 * 4


def test_images_are_counted_whole():
    model = kbm.models.vit_classifier((8, 12, 3), 5, 4, 2, 2, 8, 40)
    costs = estimate(model)
    # Six patches and the class token.
    block = 2 * (4 * 8 * 8 + 2 * 8 * 40) * 7 + 4 * 7 * 8 * 7
    patches = 2 * (4 * 4 * 3 * 8) * 7
    assert costs.unit == "image" and costs.context == 7
    assert costs.flops_per_unit == 2 * block + patches + 2 * 8 * 5
    assert costs.serving_bytes(3) == costs.weight_bytes
    cnn = estimate(kbm.models.cnn_classifier((8, 8, 3), 5, filters=(4,)))
    assert cnn.flops_per_unit > 2 * 8 * 8 * 9 * 3 * 4


def test_images_of_no_certain_size_are_refused():
    model = kbm.models.vit_classifier(
        (None, None, 3), 5, 4, 1, 2, 8, position_shape=(8, 8)
    )
    with pytest.raises(ValueError, match="size of its images"):
        estimate(model)


def test_models_from_other_layers_count_their_kernels():
    ids = keras.Input((None,), dtype="int32")
    x = kbm.layers.TokenEmbedding(11, 6)(ids)
    model = keras.Model(ids, keras.layers.Dense(11)(x))
    assert estimate(model, context=5).flops_per_unit == 2 * 6 * 11


def test_energy_names_what_computes():
    model = kbm.models.decoder_lm(101, 32, 1, 2, 8)
    joules = estimate(model, context=1).joules(1e12)
    assert joules == {"CPU": 100.0, "accelerator": 2.0}
