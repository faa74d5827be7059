"""The small random models that are compared with transformers.

One entry a family: the variants' entries of config.json, between them every
option that the family has. `architecture` names the class with the head.
"""

PROMPTS = ((3, 14, 15, 9, 26), (5, 3, 5))

SMALL = {
    "vocab_size": 29,
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 13,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = {"num_attention_heads": 4, "num_key_value_heads": 2}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 2.0,
    "original_max_position_embeddings": 8,
    "beta_fast": 2.0,
    "beta_slow": 0.5,
}


def rope(kind: str, theta: float = 10000.0, **options) -> dict:
    """Rotary entries as transformers 5 writes them."""
    parameters = {"rope_type": kind, "rope_theta": theta, **options}
    return {"rope_parameters": parameters}


LONGROPE = rope(
    "longrope",
    100.0,
    short_factor=[1.0, 1.25, 1.5, 2.0],
    long_factor=[1.5, 2.0, 4.0, 6.0],
)
GPT2 = {
    "vocab_size": 29,
    "n_embd": 12,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 13,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
BLOOM = {
    "vocab_size": 29,
    "hidden_size": 12,
    "n_layer": 2,
    "n_head": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
NEOX = {k: v for k, v in SMALL.items() if k != "num_key_value_heads"}

CASES: dict[str, dict[str, dict]] = {
    "gpt2": {
        "plain": GPT2,
        "untied": {
            **GPT2,
            "tie_word_embeddings": False,
            "n_inner": 10,
            "activation_function": "relu",
        },
        "unscaled": {
            **GPT2,
            "n_head": 3,
            "scale_attn_weights": False,
            "activation_function": "gelu",
            "layer_norm_epsilon": 1e-3,
            "vocab_size": 31,
        },
    },
    "llama": {
        "plain": SMALL,
        "grouped": {**SMALL, **GROUPED, "tie_word_embeddings": True},
        "biased": {
            **SMALL,
            "head_dim": 8,
            "attention_bias": True,
            "mlp_bias": True,
            "rms_norm_eps": 1e-3,
        },
        "llama3": {**SMALL, "rope_parameters": LLAMA3, "head_dim": 10},
        "linear": {**SMALL, **rope("linear", 100.0, factor=2.0)},
        "dynamic": {
            **SMALL,
            **rope("dynamic", 100.0, factor=2.0),
            "max_position_embeddings": 7,
        },
        "yarn": {**SMALL, "rope_parameters": YARN, "head_dim": 10},
    },
    "mistral": {
        "plain": {**SMALL, "sliding_window": None},
        "window": {**SMALL, **GROUPED, "sliding_window": 4},
        "head_dim": {
            **SMALL,
            "head_dim": 4,
            "sliding_window": 5,
            "tie_word_embeddings": True,
            **rope("default", 1e6),
        },
    },
    "mixtral": {
        "plain": {**SMALL, "num_local_experts": 3},
        "one_expert": {
            **SMALL,
            "num_local_experts": 4,
            "num_experts_per_tok": 1,
            "head_dim": 4,
        },
        "window": {
            **SMALL,
            **GROUPED,
            "num_local_experts": 4,
            "num_experts_per_tok": 3,
            "sliding_window": 5,
            "tie_word_embeddings": True,
        },
    },
    "qwen2": {
        "plain": {**SMALL, "tie_word_embeddings": True},
        "window": {
            **SMALL,
            **GROUPED,
            "use_sliding_window": True,
            "sliding_window": 4,
            "max_window_layers": 1,
        },
        "yarn": {**SMALL, "rope_parameters": YARN},
    },
    "qwen3": {
        "plain": {**SMALL, "head_dim": 8},
        "biased": {
            **SMALL,
            **GROUPED,
            "head_dim": 6,
            "attention_bias": True,
            "tie_word_embeddings": True,
            **rope("default", 1e6),
        },
        "window": {
            **SMALL,
            "head_dim": 4,
            "use_sliding_window": True,
            "sliding_window": 3,
            "max_window_layers": 1,
        },
    },
    "gemma": {
        "plain": {**SMALL, "head_dim": 8},
        "grouped": {
            **SMALL,
            **GROUPED,
            "head_dim": 4,
            "attention_bias": True,
            **rope("default", 100.0),
        },
        "one_key": {
            **SMALL,
            "num_key_value_heads": 1,
            "head_dim": 10,
            "tie_word_embeddings": False,
        },
    },
    "gemma2": {
        "plain": {**SMALL, "head_dim": 8, "sliding_window": 4},
        "caps": {
            **SMALL,
            **GROUPED,
            "head_dim": 4,
            "query_pre_attn_scalar": 7,
            "attn_logit_softcapping": 1.5,
            "final_logit_softcapping": 2.0,
            "sliding_window": 3,
        },
        "no_caps": {
            **SMALL,
            "head_dim": 6,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "layer_types": ["full_attention", "sliding_attention"],
            "sliding_window": 5,
        },
    },
    "gemma3_text": {
        "plain": {
            **SMALL,
            "head_dim": 8,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        "scaled": {
            **SMALL,
            **GROUPED,
            "head_dim": 4,
            "sliding_window": 3,
            "layer_types": ["full_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": {
                    "rope_type": "linear",
                    "rope_theta": 1000.0,
                    "factor": 8.0,
                },
                "sliding_attention": {
                    "rope_type": "default",
                    "rope_theta": 50.0,
                },
            },
        },
        "pattern": {
            **SMALL,
            "num_hidden_layers": 3,
            "head_dim": 6,
            "sliding_window": 4,
            "sliding_window_pattern": 3,
            "query_pre_attn_scalar": 9,
            "final_logit_softcapping": 3.0,
        },
    },
    "phi3": {
        "plain": {**SMALL, "original_max_position_embeddings": 13},
        "partial": {
            **SMALL,
            **GROUPED,
            "hidden_size": 32,
            "sliding_window": 5,
            "original_max_position_embeddings": 13,
            **rope("default", partial_rotary_factor=0.5),
        },
        "long": {
            **SMALL,
            "max_position_embeddings": 26,
            "original_max_position_embeddings": 2,
            **LONGROPE,
        },
        "short": {
            **SMALL,
            "max_position_embeddings": 26,
            "original_max_position_embeddings": 13,
            **LONGROPE,
        },
    },
    "olmo2": {
        "plain": SMALL,
        "grouped": {**SMALL, **GROUPED, "tie_word_embeddings": True},
        "biased": {
            **SMALL,
            "attention_bias": True,
            "rms_norm_eps": 1e-3,
            **rope("default", 100.0),
        },
    },
    "gpt_neox": {
        "plain": {
            **NEOX,
            **rope("default", partial_rotary_factor=0.25),
        },
        "in_turn": {
            **NEOX,
            "use_parallel_residual": False,
            "hidden_act": "gelu_new",
            "tie_word_embeddings": True,
            **rope("default", 100.0, partial_rotary_factor=1.0),
        },
        "unbiased": {
            **NEOX,
            "attention_bias": False,
            "hidden_size": 12,
            "num_attention_heads": 3,
            "layer_norm_eps": 1e-3,
            **rope("default", partial_rotary_factor=0.5),
        },
    },
    "bloom": {
        "plain": BLOOM,
        "three_heads": {**BLOOM, "n_head": 3, "layer_norm_epsilon": 1e-3},
        "six_heads": {**BLOOM, "n_head": 6, "vocab_size": 31},
    },
}

# The classes of transformers for language models; heads name their own.
CAUSAL = frozenset(CASES)

BERT = {
    "vocab_size": 29,
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 13,
    "type_vocab_size": 2,
    "pad_token_id": 0,
}
ROBERTA = {**BERT, "max_position_embeddings": 14, "type_vocab_size": 1}
DISTILBERT = {
    "vocab_size": 29,
    "dim": 12,
    "hidden_dim": 20,
    "n_layers": 2,
    "n_heads": 2,
    "max_position_embeddings": 13,
    "pad_token_id": 0,
}


def heads(start: str, entries: dict, **variants: dict) -> dict[str, dict]:
    """One variant for each head, each with further entries if given."""
    suffixes = {
        "trunk": "Model",
        "masked": "ForMaskedLM",
        "text": "ForSequenceClassification",
        "token": "ForTokenClassification",
        "span": "ForQuestionAnswering",
    }
    return {
        name: {
            **entries,
            "architecture": start + suffix,
            **variants.get(name, {}),
        }
        for name, suffix in suffixes.items()
    }


CASES["bert"] = heads(
    "Bert",
    BERT,
    masked={"hidden_act": "relu"},
    text={"num_labels": 3, "num_attention_heads": 3},
    token={"num_labels": 5, "hidden_act": "gelu_new", "type_vocab_size": 3},
    span={"layer_norm_eps": 1e-3},
)
CASES["roberta"] = heads(
    "Roberta",
    ROBERTA,
    masked={"hidden_act": "silu"},
    text={"num_labels": 3, "pad_token_id": 1, "max_position_embeddings": 15},
    token={"num_labels": 5, "type_vocab_size": 2},
)
CASES["xlm-roberta"] = heads("XLMRoberta", ROBERTA, text={"num_labels": 1})
CASES["distilbert"] = heads(
    "DistilBert",
    DISTILBERT,
    masked={"activation": "relu"},
    text={"num_labels": 3},
    token={"num_labels": 5, "sinusoidal_pos_embds": True},
)
CASES["electra"] = heads(
    "Electra",
    {**BERT, "embedding_size": 8},
    masked={"hidden_act": "relu"},
    text={"num_labels": 3, "embedding_size": 12},
    token={"num_labels": 5},
)

T5 = {
    "vocab_size": 29,
    "d_model": 12,
    "d_kv": 4,
    "d_ff": 20,
    "num_layers": 2,
    "num_heads": 2,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 11,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
    "architecture": "T5ForConditionalGeneration",
}
BART = {
    "vocab_size": 29,
    "d_model": 12,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 20,
    "max_position_embeddings": 13,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
    "architecture": "BartForConditionalGeneration",
}
MARIAN = {
    **BART,
    "architecture": "MarianMTModel",
    "pad_token_id": 28,
    "bos_token_id": None,
    "eos_token_id": 0,
    "decoder_start_token_id": 28,
    "activation_function": "swish",
    "scale_embedding": True,
}
CASES["t5"] = {
    "plain": T5,
    "gated": {
        **T5,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
        "num_decoder_layers": 1,
    },
    "wide_heads": {
        **T5,
        "d_kv": 8,
        "num_decoder_layers": 1,
        "layer_norm_epsilon": 1e-3,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
    },
}
CASES["bart"] = {
    "plain": BART,
    "scaled": {
        **BART,
        "scale_embedding": True,
        "decoder_layers": 1,
        "activation_function": "relu",
    },
    "three_heads": {
        **BART,
        "encoder_attention_heads": 3,
        "decoder_attention_heads": 3,
        "encoder_layers": 1,
    },
}
CASES["marian"] = {
    "plain": MARIAN,
    "unscaled": {**MARIAN, "scale_embedding": False, "decoder_layers": 1},
    "relu": {
        **MARIAN,
        "activation_function": "relu",
        "encoder_attention_heads": 3,
        "decoder_attention_heads": 3,
    },
}

VIT = {
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
    "num_labels": 5,
    "architecture": "ViTForImageClassification",
}
CASES["vit"] = {
    "plain": VIT,
    "gray": {
        **VIT,
        "num_channels": 1,
        "qkv_bias": False,
        "patch_size": 2,
        "layer_norm_eps": 1e-3,
    },
    "three_heads": {
        **VIT,
        "num_attention_heads": 3,
        "hidden_act": "relu",
        "num_labels": 3,
    },
}
DEIT = {**VIT, "architecture": "DeiTForImageClassification"}
TEACHER = "DeiTForImageClassificationWithTeacher"
CASES["deit"] = {
    "plain": DEIT,
    "teacher": {**DEIT, "architecture": TEACHER},
    "gray": {
        **DEIT,
        "architecture": TEACHER,
        "num_channels": 1,
        "qkv_bias": False,
        "patch_size": 2,
        "num_attention_heads": 3,
        "layer_norm_eps": 1e-3,
        "hidden_act": "relu",
    },
}
