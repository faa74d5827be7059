import json

import pytest

from keras_bigmodel.text import BytePairTokenizer, Tokenizer
from keras_bigmodel.text.library import library_tokenizer
from tests.text.tokenizers_for_tests import byte_pair, spec_of


def configured(folder, **config):
    byte_pair().save(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def test_roles_and_template_are_read_from_the_config(tmp_path):
    folder = configured(
        tmp_path,
        bos_token={"content": "<|endoftext|>"},
        eos_token="<|pad|>",
        pad_token=None,
        chat_template=[
            {"name": "tools", "template": "x"},
            {"name": "default", "template": "{{ messages[0].content }}"},
        ],
    )
    tokenizer = Tokenizer.load(folder)
    roles = (tokenizer.pad_id, tokenizer.start_id, tokenizer.end_id)
    assert roles == (None, 1, 0)
    messages = [{"role": "user", "content": "hi"}]
    assert tokenizer.apply_chat_template(messages) == "hi"
    again = Tokenizer.load(tokenizer.save(tmp_path / "again"))
    assert again.apply_chat_template(messages) == "hi"
    assert again.end_id == 0
    (folder / "chat_template.jinja").write_text("{{ eos_token }}")
    text = Tokenizer.load(folder).apply_chat_template(messages)
    assert text == "<|pad|>"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bos_token": "<none>"}, "must be in the vocabulary.*bos_token="),
        ({"eos_token": 5}, "eos_token must be a token. Received: eos_token=5"),
        ({"chat_template": 5}, "must be text. Received: chat_template=5"),
    ],
)
def test_wrong_configs_are_said(config, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Tokenizer.load(configured(tmp_path, **config))


def test_tokens_and_ids():
    tokenizer = byte_pair()
    assert tokenizer.vocabulary_size == len(tokenizer.tokens()) == 509
    assert tokenizer.id_to_token(1) == "<|endoftext|>"
    assert tokenizer.token_to_id("<|endoftext|>") == 1
    assert tokenizer.token_to_id("no token") is None
    assert tokenizer.id_to_token(509) is None


def test_what_the_library_refuses_is_said():
    spec = spec_of(byte_pair(), pre_tokenizer={"type": "Odd"})
    with pytest.raises(
        ValueError, match="not what it should be.*Received: mod"
    ):
        library_tokenizer(spec)
    spec = spec_of(byte_pair(), model__vocab={"a": 10**9})
    with pytest.raises(ValueError, match="must be a whole number"):
        library_tokenizer(spec)


def test_other_files_are_not_enough(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(
        '{"keras_bigmodel_class": "CharacterTokenizer"}'
    )
    with pytest.raises(ValueError, match="kept in tokenizer.json. Received: "):
        Tokenizer.load(tmp_path)


def test_lone_surrogates_are_read_as_wrong_bytes():
    tokenizer = byte_pair()
    rows = tokenizer.encode(["a\ud800", b"a\xed\xa0\x80"])
    assert rows[0] == rows[1]
    assert isinstance(tokenizer, BytePairTokenizer)
