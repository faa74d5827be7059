"""What one signature of a served model is."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function that a served model offers, and how to try it.

    Args:
        call: From input tensors, by name, to output tensors, by name.
        inputs: A spec of each input; batches first.
        examples: Gives inputs by name, as arrays or lists, to prove the
            written model and to warm a server up with.
        expect: From an example to the outputs that must come back, computed
            from the model in memory by another way than `call`. Outputs that
            it leaves out are not compared.
    """

    call: Callable[..., dict[str, tf.Tensor]]
    inputs: dict[str, tf.TensorSpec]
    examples: Callable[[], Sequence[dict[str, Any]]]
    expect: Callable[[dict[str, Any]], dict[str, Any]]

    def trace(self) -> Any:
        """Returns the graph, a concrete function."""
        specs = {
            name: tf.TensorSpec(spec.shape, spec.dtype, name)
            for name, spec in self.inputs.items()
        }
        function = tf.function(self.call, autograph=False)
        return function.get_concrete_function(**specs)

    def arrays(self, example: dict[str, Any]) -> dict[str, np.ndarray]:
        """Returns an example with the inputs' types.

        Args:
            example: One of those that `examples` gives.
        """
        return {
            name: _array(example[name], spec.dtype)
            for name, spec in self.inputs.items()
        }


def _array(values: Any, dtype: tf.DType) -> np.ndarray:
    if dtype != tf.string:
        return np.asarray(values, dtype.as_numpy_dtype)
    # Objects: NumPy's own strings lose zeros at their end.
    strings = [tf.compat.as_bytes(value) for value in values]
    return np.array(strings, object)
