"""Position encodings: one file each, one hook each."""

from keras_bigmodel.layers.positions.base import PositionEncoding

__all__ = ["PositionEncoding"]
