"""Position encodings: one file each, one hook each."""

from keras_bigmodel.layers.positions.alibi import ALiBiPositionEncoding
from keras_bigmodel.layers.positions.base import PositionEncoding
from keras_bigmodel.layers.positions.learned import LearnedPositionEncoding
from keras_bigmodel.layers.positions.relative import RelativePositionEncoding
from keras_bigmodel.layers.positions.rotary import RotaryPositionEncoding
from keras_bigmodel.layers.positions.sinusoidal import (
    SinusoidalPositionEncoding,
)

__all__ = [
    "ALiBiPositionEncoding",
    "LearnedPositionEncoding",
    "PositionEncoding",
    "RelativePositionEncoding",
    "RotaryPositionEncoding",
    "SinusoidalPositionEncoding",
]
