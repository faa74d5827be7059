"""Hugging Face checkpoints: load them, save models as such."""

from keras_bigmodel.huggingface.load import load
from keras_bigmodel.huggingface.save import save

__all__ = ["load", "save"]
