"""Datasets of token ids, ready for `fit`."""

from keras_bigmodel.text.datasets.classification import classification_dataset
from keras_bigmodel.text.datasets.language_model import language_model_dataset
from keras_bigmodel.text.datasets.masked_lm import masked_lm_dataset
from keras_bigmodel.text.datasets.seq2seq import seq2seq_dataset

__all__ = [
    "classification_dataset",
    "language_model_dataset",
    "masked_lm_dataset",
    "seq2seq_dataset",
]
