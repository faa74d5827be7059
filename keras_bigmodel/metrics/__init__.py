"""Metrics: what a trained model is judged by."""

from keras_bigmodel.metrics.bits_per_byte import BitsPerByte
from keras_bigmodel.metrics.perplexity import Perplexity
from keras_bigmodel.metrics.texts import bleu, chrf, rouge_l
from keras_bigmodel.metrics.token_f1 import TokenF1

__all__ = [
    "BitsPerByte",
    "Perplexity",
    "TokenF1",
    "bleu",
    "chrf",
    "rouge_l",
]
