"""Position encodings: one file each, one hook each."""

from keras_bigmodel.layers.positions.base import PositionEncoding
from keras_bigmodel.layers.positions.learned import LearnedPositionEncoding
from keras_bigmodel.layers.positions.rotary import RotaryPositionEncoding

__all__ = [
    "LearnedPositionEncoding",
    "PositionEncoding",
    "RotaryPositionEncoding",
]
