"""Small models, exported once for all tests of this room."""

import collections

import keras
import pytest

import keras_bigmodel as kbm

Exported = collections.namedtuple("Exported", "model tokenizer folder printed")


@pytest.fixture(scope="session")
def language_model(tmp_path_factory):
    """A byte-level model that answers up to 11 tokens, with its proof."""
    keras.utils.set_random_seed(7)
    model = kbm.models.decoder_lm(259, 47, 2, 2, 12)
    tokenizer = kbm.text.ByteTokenizer()
    path = tmp_path_factory.mktemp("exports") / "tiny"
    folder = kbm.export_saved_model(
        model,
        path,
        tokenizer,
        max_new_tokens=11,
        limits=kbm.export.Limits(
            text_bytes=101, word_bytes=37, batch_tokens=200
        ),
        examples=["Once", "", "é 你好"],
    )
    return Exported(model, tokenizer, folder, None)
