"""Layers as arguments of layers."""

import keras

from keras_bigmodel.layers import parts


def test_config_is_the_same_before_and_after_build():
    dense = keras.layers.Dense(3, name="dense")
    before = parts.part_config(dense)
    dense.build((None, 2))
    assert parts.part_config(dense) == before
    again = parts.as_layer(before)
    assert (again.name, again.units, again.built) == ("dense", 3, False)


def test_layers_and_none_pass_through():
    dense = keras.layers.Dense(3)
    assert parts.as_layer(dense) is dense
    assert parts.as_layer(None) is None
    assert parts.part_config(None) is None


def test_a_part_is_built_once():
    dense = keras.layers.Dense(3)
    parts.build_part(dense, (None, 2))
    kernel = dense.kernel
    parts.build_part(dense, (None, 2))
    assert dense.kernel is kernel
    parts.build_part(None, (None, 2))
