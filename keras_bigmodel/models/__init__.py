"""Builders: functional models of every architecture, made from our layers."""

from keras_bigmodel.models.count_parameters import count_parameters
from keras_bigmodel.models.decoder_lm import decoder_lm

__all__ = ["count_parameters", "decoder_lm"]
