"""Tokenizers, in Python and inside the graph, and data pipelines."""

from keras_bigmodel.text.base import Tokenizer
from keras_bigmodel.text.byte import ByteTokenizer
from keras_bigmodel.text.byte_pair import BytePairTokenizer
from keras_bigmodel.text.character import CharacterTokenizer
from keras_bigmodel.text.datasets import (
    classification_dataset,
    language_model_dataset,
    masked_lm_dataset,
    seq2seq_dataset,
)
from keras_bigmodel.text.report import report_text
from keras_bigmodel.text.streaming import TextStream
from keras_bigmodel.text.unigram import UnigramTokenizer
from keras_bigmodel.text.word_piece import WordPieceTokenizer

__all__ = [
    "BytePairTokenizer",
    "ByteTokenizer",
    "CharacterTokenizer",
    "TextStream",
    "Tokenizer",
    "UnigramTokenizer",
    "WordPieceTokenizer",
    "classification_dataset",
    "language_model_dataset",
    "masked_lm_dataset",
    "report_text",
    "seq2seq_dataset",
]
