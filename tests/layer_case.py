"""A layer under test: how it is made, called and looked at."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops


class GiveMask(keras.layers.Layer):
    """Returns its input with a given Keras mask."""

    def __init__(self, given):
        super().__init__()
        self.given = np.asarray(given, "bool")

    def call(self, inputs):
        return ops.copy(inputs)

    def compute_mask(self, inputs, previous_mask):
        return ops.convert_to_tensor(self.given)


class SeeMask(keras.layers.Layer):
    """Remembers the Keras mask of its input."""

    def __init__(self):
        super().__init__()
        self.supports_masking = True
        self.seen = None

    def call(self, inputs, mask=None):
        self.seen = None if mask is None else to_numpy(mask)
        return ops.copy(inputs)


@dataclasses.dataclass
class LayerCase:
    """What the checks need to know of a layer.

    Fields after `stateful` are the options of `check_layer`:
        tolerance: Allowed difference from the reference, relative and absolute.
        call_kwargs: More arguments of `call`, not tensors.
        sequence_axes: Input axes whose length is free.
        masks: Booleans (batch, sequence) by input name, True is visible. None
            pads the first input of layers that support masking, on the right
            in row 0 and on the left in row 1.
        output_mask: The Keras mask of the output; "first" is the mask of the
            first input, None is no mask.
        output_dtype: Of the output, where it is not the compute dtype.
        zero_gradients: Ends of the paths of weights whose gradient is zero.
        training_differs: Whether training changes the output also without
            dropout, as batch normalisation does.
        stepped: Inputs besides the first that come in steps when decoding.
    """

    layer_cls: type
    init_kwargs: dict[str, Any]
    inputs: dict[str, np.ndarray]
    output_shape: tuple[int, ...]
    reference: Callable | None = None
    stateful: bool = False
    tolerance: float = 1e-5
    call_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    sequence_axes: tuple[int, ...] = (1,)
    masks: dict[str, np.ndarray] | None = None
    output_mask: Any = "first"
    output_dtype: str | None = None
    zero_gradients: tuple[str, ...] = ()
    training_differs: bool = False
    stepped: tuple[str, ...] = ()

    def __post_init__(self):
        self.inputs = {
            name: np.asarray(
                value,
                "float32" if np.asarray(value).dtype.kind == "f" else None,
            )
            for name, value in self.inputs.items()
        }
        self.first = next(iter(self.inputs))

    def make(self, **overrides):
        """Returns a new layer, with copies of the layers injected into it."""
        arguments = {
            name: type(value).from_config(value.get_config())
            if isinstance(value, keras.layers.Layer)
            else value
            for name, value in {**self.init_kwargs, **overrides}.items()
        }
        return self.layer_cls(**{"name": "layer", **arguments})

    def build(self, layer):
        """Builds a layer alone, and returns it."""
        shapes = {f"{name}_shape": x.shape for name, x in self.inputs.items()}
        parameters = list(inspect.signature(layer.build).parameters)
        if len(parameters) == 1:
            shapes = {parameters[0]: next(iter(shapes.values()))}
        layer.build(
            **{name: shapes[name] for name in parameters if name in shapes}
        )
        return layer

    def call(self, layer, inputs=None, **kwargs):
        """Calls a layer; gives `call` its first tensor by position."""
        inputs = dict(self.inputs if inputs is None else inputs)
        first = inputs.pop(self.first)
        return layer(first, **inputs, **{**self.call_kwargs, **kwargs})

    def run(self, layer, inputs=None):
        """Calls a layer: compiled on JAX, where single operations are slow."""
        if keras.backend.backend() != "jax":
            return self.call(layer, inputs)
        import jax

        model = self.model(layer)

        @jax.jit
        def compiled(variables, inputs):
            return model.stateless_call(*variables, inputs)[0]

        inputs = dict(self.inputs if inputs is None else inputs)
        return compiled(variables_of(model), inputs)

    @functools.cached_property
    def layer(self):
        """A built layer whose weights are all random."""
        layer = self.build(self.make())
        generator = np.random.default_rng(5)
        for weight in layer.weights:
            if "float" in keras.backend.standardize_dtype(weight.dtype):
                noise = generator.uniform(-0.4, 0.4, weight.shape)
                weight.assign(to_numpy(weight) + noise)
        return layer

    @functools.cached_property
    def output(self):
        """The output of `layer`."""
        return self.run(self.layer)

    def make_like(self, **overrides):
        """Returns a new layer with the weights of `layer`."""
        layer = self.build(self.make(**overrides))
        for weight, source in zip(
            layer.weights, self.layer.weights, strict=True
        ):
            weight.assign(to_numpy(source))  # A copy: `fit` may donate it.
        return layer

    def symbolic_inputs(self):
        """Returns one `keras.Input` for each input, free axes None."""
        return {
            name: keras.Input(
                tuple(
                    None if axis in self.sequence_axes else length
                    for axis, length in enumerate(value.shape)
                )[1:],
                dtype=str(value.dtype),
                name=name,
            )
            for name, value in self.inputs.items()
        }

    def model(self, layer):
        """Returns a functional model from the inputs through `layer`."""
        inputs = self.symbolic_inputs()
        return keras.Model(inputs, self.call(layer, inputs))


def variables_of(model):
    """Returns the values of the trainable and of the other variables."""
    return (
        [variable.value for variable in model.trainable_variables],
        [variable.value for variable in model.non_trainable_variables],
    )


def to_numpy(x):
    """Returns a float array as float32, another one as it is."""
    if "float" in keras.backend.standardize_dtype(x.dtype):
        x = ops.cast(x, "float32")
    return ops.convert_to_numpy(x)


def weights_below(layer, dtype="float64"):
    """Returns the weights of a layer by their path below it."""
    prefix = f"{layer.path}/"
    return {
        weight.path.removeprefix(prefix): to_numpy(weight).astype(dtype)
        for weight in layer.weights
    }
