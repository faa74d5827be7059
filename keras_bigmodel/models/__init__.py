"""Builders: functional models of every architecture, made from our layers."""

from keras_bigmodel.models.count_parameters import count_parameters
from keras_bigmodel.models.decoder_lm import decoder_lm
from keras_bigmodel.models.encoder import encoder
from keras_bigmodel.models.heads import (
    masked_lm,
    span_classifier,
    text_classifier,
    token_classifier,
)

__all__ = [
    "count_parameters",
    "decoder_lm",
    "encoder",
    "masked_lm",
    "span_classifier",
    "text_classifier",
    "token_classifier",
]
