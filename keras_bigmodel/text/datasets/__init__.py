"""Datasets of token ids, ready for `fit`."""

from keras_bigmodel.text.datasets.language_model import language_model_dataset

__all__ = ["language_model_dataset"]
