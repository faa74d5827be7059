"""Builders: functional models of every architecture, made from our layers."""

from keras_bigmodel.models.cnn import cnn_classifier
from keras_bigmodel.models.count_parameters import count_parameters
from keras_bigmodel.models.decoder_lm import decoder_lm
from keras_bigmodel.models.encoder import encoder
from keras_bigmodel.models.encoder_decoder import encoder_decoder
from keras_bigmodel.models.gru_seq2seq import gru_seq2seq
from keras_bigmodel.models.heads import (
    masked_lm,
    span_classifier,
    text_classifier,
    token_classifier,
)
from keras_bigmodel.models.lstm_lm import lstm_lm
from keras_bigmodel.models.lstm_regressor import lstm_regressor
from keras_bigmodel.models.vit import vit_classifier

__all__ = [
    "cnn_classifier",
    "count_parameters",
    "decoder_lm",
    "encoder",
    "encoder_decoder",
    "gru_seq2seq",
    "lstm_lm",
    "lstm_regressor",
    "masked_lm",
    "span_classifier",
    "text_classifier",
    "token_classifier",
    "vit_classifier",
]
