"""Tokenizers, in Python and inside the graph, and data pipelines."""

from keras_bigmodel.text.base import Tokenizer
from keras_bigmodel.text.byte import ByteTokenizer

__all__ = ["ByteTokenizer", "Tokenizer"]
