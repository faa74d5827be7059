"""Generation: decoding loops for any model that runs under a scope."""

from keras_bigmodel.generation import samplers
from keras_bigmodel.generation.generate import Generation, generate

__all__ = ["Generation", "generate", "samplers"]
