"""Counting without allocating."""

import tracemalloc

import keras
import pytest

from keras_bigmodel import models

LLAMA = {
    "normalization": "rms",
    "gated": True,
    "activation": "silu",
    "use_bias": False,
    "tie_embeddings": False,
}
GPT2 = {"position_encoding": "learned", "activation": "gelu_tanh"}
QWEN = {
    **LLAMA,
    "tie_embeddings": True,
    "num_key_value_heads": 2,
    "attention_bias": ("query", "key", "value"),
}
BERT = {
    "position_encoding": "learned",
    "normalize_first": False,
    "normalize_embeddings": True,
    "num_segments": 2,
    "pooler": True,
}


@pytest.mark.parametrize(
    ("builder", "arguments", "options", "number"),
    [
        pytest.param(
            models.decoder_lm,
            (50257, 1024, 12, 12, 768),
            GPT2,
            124_439_808,
            id="GPT-2 small",
        ),
        pytest.param(
            models.decoder_lm,
            (50257, 1024, 48, 25, 1600),
            GPT2,
            1_557_611_200,
            id="GPT-2 XL",
        ),
        pytest.param(
            models.decoder_lm,
            (32000, 4096, 32, 32, 4096, 11008),
            LLAMA,
            6_738_415_616,
            id="Llama-2 7B",
        ),
        pytest.param(
            models.decoder_lm,
            (32000, 32768, 32, 32, 4096, 14336),
            {**LLAMA, "num_key_value_heads": 8, "sliding_window": 4096},
            7_241_732_096,
            id="Mistral 7B",
        ),
        pytest.param(
            models.decoder_lm,
            (151936, 32768, 24, 14, 896, 4864),
            QWEN,
            494_032_768,
            id="Qwen2.5 0.5B",
        ),
        pytest.param(
            models.encoder,
            (30522, 512, 12, 12, 768),
            BERT,
            109_482_240,
            id="BERT base",
        ),
        pytest.param(
            models.vit_classifier,
            ((224, 224, 3), 1000, 16, 12, 12, 768),
            {},
            86_567_656,
            id="ViT-B/16",
        ),
    ],
)
def test_counts_are_the_papers(builder, arguments, options, number):
    tracemalloc.start()
    counted = models.count_parameters(builder, *arguments, **options)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counted == number
    assert most < 50e6  # bytes; the weights would be 4 times their number


def test_a_small_count_is_that_of_the_model():
    arguments = (97, 16, 2, 2, 8)
    model = models.decoder_lm(*arguments)
    assert models.count_parameters(models.decoder_lm, *arguments) == (
        model.count_params()
    )


def test_models_made_afterwards_are_whole():
    models.count_parameters(models.decoder_lm, 97, 16, 1, 2, 8)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    assert model.get_weights()[0].shape == (3, 2)


def test_what_the_builder_refuses_is_refused():
    with pytest.raises(ValueError, match="Received: num_layers=0"):
        models.count_parameters(models.decoder_lm, 97, 16, 0, 2, 8)
