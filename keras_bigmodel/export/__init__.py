"""Export: models as folders that TensorFlow Serving serves."""

from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.saved_model import export_saved_model

__all__ = ["Limits", "export_saved_model"]
