"""What builders make of their arguments."""

import keras
import pytest

from keras_bigmodel.models import arguments


def test_sizes_are_positive_integers():
    arguments.check_sizes(num_layers=1, intermediate_dim=None)
    for wrong in (0, -3, 2.0, "4"):
        with pytest.raises(ValueError, match=f"Received: num_heads={wrong}"):
            arguments.check_sizes(num_layers=1, num_heads=wrong)


def test_windows_are_one_for_all_or_one_each():
    assert arguments.windows_of_layers(None, 2) == [None, None]
    assert arguments.windows_of_layers(5, 3) == [5, 5, 5]
    assert arguments.windows_of_layers((7, None), 2) == [7, None]
    with pytest.raises(ValueError, match="Received: sliding_window=.*layers=3"):
        arguments.windows_of_layers((7, None), 3)


def test_normalizations():
    def new(kind):
        return arguments.new_normalization(kind, 0.5, "float32", "mine")

    assert new(None) is None
    assert isinstance(new("layer"), keras.layers.LayerNormalization)
    assert isinstance(new("rms"), keras.layers.RMSNormalization)
    assert new("rms").epsilon == 0.5
    copied = new(keras.layers.LayerNormalization(epsilon=0.25, name="given"))
    assert (copied.name, copied.epsilon) == ("mine", 0.25)
    with pytest.raises(ValueError, match="Received: normalization='batch'"):
        new("batch")


def test_feed_forward_is_plain_or_a_mixture():
    options = {"activation": "relu", "gated": True, "use_bias": False}
    plain = arguments.new_feed_forward(
        7, num_experts=None, experts_per_token=2, **options
    )
    mixture = arguments.new_feed_forward(
        7, num_experts=3, experts_per_token=1, **options
    )
    assert type(plain).__name__ == "FeedForward"
    assert type(mixture).__name__ == "MixtureOfExperts"
    assert (mixture.num_experts, mixture.experts_per_token) == (3, 1)
    for layer in (plain, mixture):
        assert layer.intermediate_dim == 7
        assert (layer.activation, layer.gated) == ("relu", True)
