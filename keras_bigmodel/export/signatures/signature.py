"""What one signature of a served model is."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function that a served model offers, and how to try it.

    Args:
        call: From input tensors, by name, to output tensors, by name.
        inputs: A spec of each input; batches first.
        examples: Inputs by name, as arrays or lists, to prove the written
            model and to warm a server up with.
        expect: From an example to the outputs that must come back, computed
            from the model in memory by another way than `call`. Outputs that
            it leaves out are not compared.
    """

    call: Callable[..., dict[str, tf.Tensor]]
    inputs: dict[str, tf.TensorSpec]
    examples: Sequence[dict[str, Any]]
    expect: Callable[[dict[str, Any]], dict[str, Any]]

    def trace(self) -> Any:
        """Returns the graph, a concrete function."""
        specs = {
            name: tf.TensorSpec(spec.shape, spec.dtype, name)
            for name, spec in self.inputs.items()
        }
        function = tf.function(self.call, autograph=False)
        return function.get_concrete_function(**specs)
