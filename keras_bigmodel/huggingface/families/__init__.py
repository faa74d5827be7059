"""The families of checkpoints, each a row of one table."""

from keras_bigmodel.huggingface.families.gpt2 import GPT2
from keras_bigmodel.huggingface.families.llama import LLAMA

FAMILIES = {family.model_type: family for family in (GPT2, LLAMA)}

__all__ = ["FAMILIES"]
