"""Generation: decoding loops for any model that runs under a scope."""

from keras_bigmodel.generation import samplers
from keras_bigmodel.generation.constraint import RegexConstraint
from keras_bigmodel.generation.generate import Generation, generate
from keras_bigmodel.generation.prefix import Prefix
from keras_bigmodel.generation.processors import (
    BannedPhrases,
    BannedTokens,
    ForcedPrefix,
)

__all__ = [
    "BannedPhrases",
    "BannedTokens",
    "ForcedPrefix",
    "Generation",
    "Prefix",
    "RegexConstraint",
    "generate",
    "samplers",
]
