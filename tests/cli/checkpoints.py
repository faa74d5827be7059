"""Small checkpoints of every kind, with a tokenizer and names of classes."""

import keras

import keras_bigmodel as kbm
from keras_bigmodel.huggingface.families import FAMILIES
from tests.huggingface.cases import T5

TEXTS = ["To be or not to be, that is the question. " * 9]
LABELS = ["bad", "good", "none"]
KINDS = (
    "decoder",
    "encoder",
    "masked",
    "text_classifier",
    "token_classifier",
    "span_classifier",
    "encoder_decoder",
    "vit",
)


def save_checkpoint(kind, folder):
    """Writes a random model of a kind as a Hugging Face checkpoint."""
    keras.utils.set_random_seed(0)
    if kind == "vit":
        model = kbm.models.vit_classifier((8, 8, 3), 3, 4, 1, 2, 8)
        return kbm.huggingface.save(model, None, folder, labels=LABELS)
    if kind in ("decoder", "encoder_decoder"):
        tokenizer = kbm.text.BytePairTokenizer.train(
            TEXTS, 280, special_tokens=["<pad>", "</s>"]
        )
    else:
        tokenizer = kbm.text.WordPieceTokenizer.train(TEXTS, 60)
    size, labels = tokenizer.vocabulary_size, None
    if kind == "decoder":
        model = kbm.models.decoder_lm(
            size,
            32,
            1,
            2,
            8,
            normalization="rms",
            activation="silu",
            gated=True,
            use_bias=False,
        )
    elif kind == "encoder_decoder":
        model = t5(size)
        tokenizer.start_id = 0
    else:
        model = bert(size, kind, tokenizer.pad_id)
        if "classifier" in kind and kind != "span_classifier":
            labels = LABELS
    return kbm.huggingface.save(model, tokenizer, folder, labels=labels)


def bert(size, kind, pad_id):
    """A BERT with the head of this kind."""
    trunk = kbm.models.encoder(
        size,
        32,
        1,
        2,
        8,
        num_segments=2,
        pad_id=pad_id,
        position_encoding="learned",
        normalize_first=False,
        normalize_embeddings=True,
        pooler=kind in ("encoder", "text_classifier"),
    )
    if kind == "masked":
        return kbm.models.masked_lm(trunk)
    if kind == "text_classifier":
        return kbm.models.text_classifier(trunk, 3, pooling="pooler")
    if kind == "token_classifier":
        return kbm.models.token_classifier(trunk, 3)
    if kind == "span_classifier":
        return kbm.models.span_classifier(trunk)
    return trunk


def t5(size):
    """A T5."""
    family = FAMILIES["t5"]
    config = {**T5, "vocab_size": size}
    config["architectures"] = [config.pop("architecture")]
    return family.build(**family.options(config), name="t5")
