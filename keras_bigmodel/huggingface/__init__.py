"""Hugging Face checkpoints: load them, save models as such."""

from keras_bigmodel.huggingface.adapter_folder import (
    load_adapters,
    save_adapters,
)
from keras_bigmodel.huggingface.labels import load_labels
from keras_bigmodel.huggingface.load import load
from keras_bigmodel.huggingface.save import save

__all__ = ["load", "load_adapters", "load_labels", "save", "save_adapters"]
