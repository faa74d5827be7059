"""Signature of any other functional model: arrays in, arrays out."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bigmodel.export.signatures.signature import Signature


class Arrays:
    """What a served model of no special kind offers: its own inputs.

    Args:
        model: A functional model.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._specs = {
            tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype)
            for tensor in model.inputs
        }

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures by name."""
        default = Signature(
            self._serve, self._specs, lambda: [self._example()], self._expect
        )
        return {"serving_default": default}

    def _serve(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        checked = {
            name: tf.ensure_shape(value, self._specs[name].shape)
            for name, value in inputs.items()
        }
        return self._call(checked)

    def _call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        values = [inputs[tensor.name] for tensor in self._model.inputs]
        if not isinstance(self._model.input, keras.KerasTensor):
            values = keras.tree.pack_sequence_as(self._model.input, values)
        else:
            (values,) = values
        outputs = self._model(values, training=False)
        if isinstance(outputs, dict):
            named = outputs
        else:
            flat = keras.tree.flatten(outputs)
            named = dict(zip(self._model.output_names, flat, strict=True))
        # Half floats have no form in JSON.
        return {
            name: tf.cast(value, tf.float32)
            if value.dtype in (tf.float16, tf.bfloat16)
            else value
            for name, value in named.items()
        }

    def _example(self) -> dict[str, np.ndarray]:
        return {
            name: np.zeros(
                [2] + [size or 3 for size in spec.shape[1:]],
                spec.dtype.as_numpy_dtype,
            )
            for name, spec in self._specs.items()
        }

    def _expect(self, example: dict[str, Any]) -> dict[str, Any]:
        outputs = self._call(example)
        return {name: np.asarray(value) for name, value in outputs.items()}
