"""What transformers on PyTorch computes for the small random models.

Only `make fixtures`, by `make_fixtures.py`, and the parity tests import this.
"""

import pathlib

import numpy as np
import torch
import transformers

from tests.huggingface.cases import PROMPTS

LENGTH = 13
SHORT = 8
NEW_TOKENS = 6


def random_model(family: str, entries: dict, seed: int):
    """A model whose weights are multiples of 1 / 16, exact in bfloat16."""
    entries = dict(entries)
    architecture = entries.pop("architecture", None)
    config = transformers.AutoConfig.for_model(family, **entries)
    config._attn_implementation = "eager"
    if architecture is None:
        model = transformers.AutoModelForCausalLM.from_config(config)
    else:
        model = getattr(transformers, architecture)(config)
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if not weight.requires_grad:
                continue
            spread = 0.3 if weight.ndim > 1 else 0.2
            noise = generator.normal(0, spread, tuple(weight.shape))
            ones = float(weight.ndim == 1 and float(weight.mean()) == 1)
            noise = np.round(16 * (noise + ones)) / 16
            weight.copy_(torch.tensor(noise))
    return model.eval()


def save_checkpoint(model, folder: pathlib.Path) -> None:
    """Writes what a release would hold, in bfloat16."""
    model.to(torch.bfloat16).save_pretrained(folder)
    model.to(torch.float32)


def inputs(vocabulary_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask: one row fills the context, two are padded."""
    generator = np.random.default_rng(seed)
    token_ids = generator.integers(3, vocabulary_size, (3, LENGTH))
    mask = np.ones_like(token_ids)
    mask[1, SHORT:] = 0
    mask[2, : LENGTH - SHORT] = 0
    return token_ids * mask, mask


@torch.no_grad()
def expected_causal(model, seed: int) -> dict[str, np.ndarray]:
    """Logits, and the greedy continuation of two prompts."""
    token_ids, mask = inputs(model.config.vocab_size, seed)
    logits = model(
        torch.tensor(token_ids), attention_mask=torch.tensor(mask)
    ).logits
    width = max(map(len, PROMPTS))
    padded = [[0] * (width - len(row)) + list(row) for row in PROMPTS]
    masks = [[0] * (width - len(row)) + [1] * len(row) for row in PROMPTS]
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    continued = model.generate(
        torch.tensor(padded),
        attention_mask=torch.tensor(masks),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
    )
    return {
        "token_ids": token_ids.astype("int32"),
        "mask": mask.astype("bool"),
        "logits": logits.numpy().astype("float32"),
        "continued": continued[:, width:].numpy().astype("int32"),
    }


@torch.no_grad()
def expected_encoder(model, seed: int) -> dict[str, np.ndarray]:
    """What an encoder, or the head on it, gives for padded texts."""
    config = model.config
    token_ids, mask = inputs(config.vocab_size, seed)
    # Encoders are padded behind the text, with an id of their own.
    token_ids[2] = np.roll(token_ids[2], SHORT - LENGTH)
    mask[2] = np.roll(mask[2], SHORT - LENGTH)
    token_ids[mask == 0] = config.pad_token_id
    arguments = {"attention_mask": torch.tensor(mask)}
    found = {
        "token_ids": token_ids.astype("int32"),
        "mask": mask.astype("bool"),
    }
    kinds = getattr(config, "type_vocab_size", 0)
    if kinds > 1:
        generator = np.random.default_rng(seed + 1)
        segment_ids = generator.integers(0, kinds, token_ids.shape)
        arguments["token_type_ids"] = torch.tensor(segment_ids)
        found["segment_ids"] = segment_ids.astype("int32")
    output = model(torch.tensor(token_ids), **arguments)
    if "start_logits" in output:
        both = [output.start_logits, output.end_logits]
        found["logits"] = np.stack([part.numpy() for part in both], axis=1)
    elif "logits" in output:
        found["logits"] = output.logits.numpy()
    else:
        found["logits"] = output.last_hidden_state.numpy()
        if output.get("pooler_output") is not None:
            found["pooled"] = output.pooler_output.numpy()
    return found


@torch.no_grad()
def expected_encoder_decoder(model, seed: int) -> dict[str, np.ndarray]:
    """Logits over targets, and the greedy answers to two sources."""
    config = model.config
    source_ids, mask = inputs(config.vocab_size - 1, seed)
    source_ids[2] = np.roll(source_ids[2], SHORT - LENGTH)
    mask[2] = np.roll(mask[2], SHORT - LENGTH)
    source_ids[mask == 0] = config.pad_token_id
    target_ids, _ = inputs(config.vocab_size - 1, seed + 1)
    target_ids = target_ids[:, :7] + (target_ids[:, :7] == 0) * 3
    logits = model(
        input_ids=torch.tensor(source_ids),
        attention_mask=torch.tensor(mask),
        decoder_input_ids=torch.tensor(target_ids),
    ).logits
    model.generation_config.eos_token_id = None
    model.generation_config.forced_eos_token_id = None
    model.generation_config.bad_words_ids = None
    answers = model.generate(
        torch.tensor(source_ids),
        attention_mask=torch.tensor(mask),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        num_beams=1,
    )
    return {
        "source_ids": source_ids.astype("int32"),
        "target_ids": target_ids.astype("int32"),
        "mask": mask.astype("bool"),
        "logits": logits.numpy().astype("float32"),
        "continued": answers[:, 1:].numpy().astype("int32"),
    }


@torch.no_grad()
def expected_images(model, seed: int) -> dict[str, np.ndarray]:
    """Logits of images whose pixels are from 0 to 255."""
    config = model.config
    size = config.image_size
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (3, size, size, config.num_channels))
    pixels = np.transpose((images / 255 - 0.5) / 0.5, (0, 3, 1, 2))
    logits = model(torch.tensor(pixels, dtype=torch.float32)).logits
    return {
        "images": images.astype("uint8"),
        "logits": logits.numpy(),
        "mask": np.ones(1, "bool"),
    }


def expected(model, seed: int) -> dict[str, np.ndarray]:
    """What a model of this kind is compared by."""
    if hasattr(model.config, "image_size"):
        return expected_images(model, seed)
    if model.config.is_encoder_decoder:
        return expected_encoder_decoder(model, seed)
    if model.can_generate():
        return expected_causal(model, seed)
    return expected_encoder(model, seed)


def load_again(model, folder: pathlib.Path):
    """The model that a saved checkpoint gives, with nothing left out."""
    loaded, report = type(model).from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32
    )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[kind]:
            raise AssertionError(f"{kind}: {report[kind]}")
    loaded.config._attn_implementation = "eager"
    return loaded.eval()
