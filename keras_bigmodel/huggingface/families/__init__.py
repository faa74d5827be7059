"""The families of checkpoints, each a row of one table."""

from keras_bigmodel.huggingface.families.bart import BART, MARIAN
from keras_bigmodel.huggingface.families.bert import BERT
from keras_bigmodel.huggingface.families.bloom import BLOOM
from keras_bigmodel.huggingface.families.deit import DEIT
from keras_bigmodel.huggingface.families.distilbert import DISTILBERT
from keras_bigmodel.huggingface.families.electra import ELECTRA
from keras_bigmodel.huggingface.families.gemma import GEMMA, GEMMA2, GEMMA3
from keras_bigmodel.huggingface.families.gpt2 import GPT2
from keras_bigmodel.huggingface.families.gpt_neox import GPT_NEOX
from keras_bigmodel.huggingface.families.llama import (
    LLAMA,
    MISTRAL,
    MIXTRAL,
    QWEN2,
    QWEN3,
)
from keras_bigmodel.huggingface.families.olmo2 import OLMO2
from keras_bigmodel.huggingface.families.phi3 import PHI3
from keras_bigmodel.huggingface.families.roberta import ROBERTA, XLM_ROBERTA
from keras_bigmodel.huggingface.families.t5 import T5
from keras_bigmodel.huggingface.families.vit import VIT

# A model that several families can say is saved as the first of them.
FAMILIES = {
    family.model_type: family
    for family in (
        GPT2,
        LLAMA,
        MISTRAL,
        MIXTRAL,
        QWEN2,
        QWEN3,
        GEMMA,
        GEMMA2,
        GEMMA3,
        PHI3,
        OLMO2,
        GPT_NEOX,
        BLOOM,
        BERT,
        ROBERTA,
        XLM_ROBERTA,
        DISTILBERT,
        ELECTRA,
        T5,
        BART,
        MARIAN,
        VIT,
        DEIT,
    )
}

__all__ = ["FAMILIES"]
