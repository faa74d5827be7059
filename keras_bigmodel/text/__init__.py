"""Tokenizers, in Python and inside the graph, and data pipelines."""

from keras_bigmodel.text.base import Tokenizer
from keras_bigmodel.text.byte import ByteTokenizer
from keras_bigmodel.text.datasets import language_model_dataset

__all__ = ["ByteTokenizer", "Tokenizer", "language_model_dataset"]
