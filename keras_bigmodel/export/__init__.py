"""Export: models as folders that TensorFlow Serving serves."""

from keras_bigmodel.export import client
from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.saved_model import export_saved_model
from keras_bigmodel.export.serving_config import write_serving_bundle
from keras_bigmodel.export.stand_in import StandInServer

__all__ = [
    "Limits",
    "StandInServer",
    "client",
    "export_saved_model",
    "write_serving_bundle",
]
