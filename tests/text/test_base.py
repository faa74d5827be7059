import pytest
import tensorflow as tf

from keras_bigmodel.text import (
    BytePairTokenizer,
    ByteTokenizer,
    Tokenizer,
)
from keras_bigmodel.text.base import as_text
from tests.text.tokenizers_for_tests import (
    byte_pair,
    changed,
    characters,
    check_operations,
)

FRAMED = {
    "type": "TemplateProcessing",
    "single": [
        {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "<|pad|>", "type_id": 0}},
    ],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
    "special_tokens": {
        token: {"id": token, "ids": [i], "tokens": [token]}
        for token, i in (("<|endoftext|>", 1), ("<|pad|>", 0))
    },
}


def test_prefix_and_suffix_frame_every_text_in_both_faces():
    tokenizer = changed(byte_pair(), post_processor=FRAMED)
    texts = ["", "abc", "it is"]
    bare = byte_pair().encode(texts)
    framed = [[1, *row, 0] for row in bare]
    assert tokenizer.encode(texts) == framed
    assert tokenizer(tf.constant(texts)).to_list() == framed
    assert tokenizer.encode(texts, add_special_tokens=False) == bare
    in_graph = tokenizer(tf.constant(texts), add_special_tokens=False)
    assert in_graph.to_list() == bare
    empty = tf.constant([], tf.string)
    assert tokenizer(empty).to_list() == tokenizer.encode([]) == []


def test_special_tokens_are_left_out_of_texts_unless_wished():
    tokenizer = ByteTokenizer()
    ids = [[257, 72, 105, 258, 256]]
    assert tokenizer.decode(ids) == ["Hi"]
    assert tokenizer.decode(ids, False) == ["<start>Hi<end><pad>"]
    assert tokenizer.detokenize(ids).numpy().tolist() == [b"Hi"]
    kept = tokenizer.detokenize(tf.constant(ids), False).numpy().tolist()
    assert kept == [b"<start>Hi<end><pad>"]


@pytest.mark.parametrize("make", [ByteTokenizer, byte_pair, characters])
def test_a_module_that_holds_a_tokenizer_saves_it(make, tmp_path):
    class Holder(tf.Module):
        def __init__(self):
            super().__init__()
            self.tokenizer = make()

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):
            ids = self.tokenizer(texts)
            return {"ids": ids, "texts": self.tokenizer.detokenize(ids)}

    texts = ["it is tested", "", "中"]
    tf.saved_model.save(Holder(), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))(tf.constant(texts))
    assert loaded["ids"].to_list() == make().encode(texts)
    decoded = [text.decode() for text in loaded["texts"].numpy()]
    assert decoded == make().decode(make().encode(texts))


def test_saved_graphs_hold_core_operations_and_no_tables(tmp_path):
    assert "StatelessWhile" in check_operations(byte_pair("llama3"), tmp_path)


def test_tokenizers_map_over_datasets():
    tokenizer = byte_pair()
    texts = ["one", "two words", "", "three small words"]
    data = tf.data.Dataset.from_tensor_slices(texts).batch(3).map(tokenizer)
    rows = [row for batch in data for row in batch.to_list()]
    assert rows == tokenizer.encode(texts)


def test_load_finds_the_kind(tmp_path):
    for make in (ByteTokenizer, byte_pair, characters):
        folder = make().save(tmp_path / make.__name__)
        assert type(Tokenizer.load(folder)) is type(make())
        assert Tokenizer.load(str(folder)).end_id == make().end_id


def test_what_is_wrong_is_said(tmp_path):
    tokenizer = ByteTokenizer()
    with pytest.raises(ValueError, match="a list of texts. Received: texts="):
        tokenizer.encode("text")
    with pytest.raises(ValueError, match="a list of texts. Received: texts="):
        tokenizer.encode([1])
    with pytest.raises(ValueError, match="from 0 to 258. Received: .*\\[259"):
        tokenizer.decode([[1, 259, -1]])
    with pytest.raises(ValueError, match="a vector of strings"):
        tokenizer(tf.constant([["a"]]))
    with pytest.raises(ValueError, match="a vector of strings"):
        tokenizer(tf.constant([1]))
    with pytest.raises(ValueError, match="rows of ids"):
        tokenizer.detokenize(tf.constant([1]))
    with pytest.raises(ValueError, match="rows of ids"):
        tokenizer.detokenize(tf.constant([["a"]]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="259"):
        tokenizer.detokenize([[259]])
    with pytest.raises(ValueError, match="no chat template"):
        tokenizer.apply_chat_template([{"role": "user", "content": "a"}])
    folder = tokenizer.save(tmp_path / "bytes")
    with pytest.raises(ValueError, match="is a ByteTokenizer, not a BytePair"):
        BytePairTokenizer.load(folder)
    with pytest.raises(ValueError, match="no such folder or file"):
        Tokenizer.load(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="There is no tokenizer here"):
        Tokenizer.load(tmp_path / "empty")
    (tmp_path / "tokenizer_config.json").write_text(
        '{"keras_bigmodel_class": "Other"}'
    )
    with pytest.raises(ValueError, match="must name one of .*'Other'"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Odd"}}')
    with pytest.raises(ValueError, match="not supported. Received: .*Odd"):
        Tokenizer.load(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match="this is a file"):
        tokenizer.save(tmp_path / "tokenizer.json")


def test_text_that_is_not_utf8_is_read_alike():
    assert as_text(b"a\xffb") == "a\ufffdb"
    assert as_text("a\ud800b") == "a\ufffd\ufffd\ufffdb"
    assert as_text("a\U0001f600") == "a\U0001f600"
