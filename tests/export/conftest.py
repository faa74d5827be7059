"""Small models, exported once for all tests of this room."""

import collections

import keras
import pytest

import keras_bigmodel as kbm

Exported = collections.namedtuple("Exported", "model tokenizer folder")

LIMITS = kbm.export.Limits(
    text_bytes=101, word_bytes=37, new_tokens=23, batch_tokens=200
)


@pytest.fixture(scope="session")
def language_model(tmp_path_factory):
    """A byte-level model that answers up to 11 tokens, proved."""
    keras.utils.set_random_seed(7)
    model = kbm.models.decoder_lm(259, 47, 2, 2, 12)
    tokenizer = kbm.text.ByteTokenizer()
    folder = kbm.export_saved_model(
        model,
        tmp_path_factory.mktemp("exports") / "tiny",
        tokenizer,
        max_new_tokens=11,
        limits=LIMITS,
        examples=["Once", "", "é 你好"],
        warmup_batch_sizes=(1, 5),
    )
    return Exported(model, tokenizer, folder)
