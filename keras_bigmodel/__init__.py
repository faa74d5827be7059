"""Big models for Keras and TensorFlow: layers, `model.fit`, TF Serving."""

import importlib
from typing import Any

from keras_bigmodel import layers, losses, metrics, models, schedules
from keras_bigmodel.adapters import lora, merge_lora
from keras_bigmodel.quantization import quantize

__version__ = "0.1.0"

# Rooms that need more than Keras are imported when they are first used.
_LAZY_ROOMS = ("export", "generation", "huggingface", "text")
_LAZY_NAMES = {
    "export_saved_model": "export",
    "generate": "generation",
    "samplers": "generation",
}

__all__ = [
    "export",
    "export_saved_model",
    "generate",
    "generation",
    "huggingface",
    "layers",
    "lora",
    "losses",
    "merge_lora",
    "metrics",
    "models",
    "quantize",
    "samplers",
    "schedules",
    "text",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY_ROOMS:
        return importlib.import_module(f"keras_bigmodel.{name}")
    if name in _LAZY_NAMES:
        room = importlib.import_module(f"keras_bigmodel.{_LAZY_NAMES[name]}")
        return getattr(room, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
