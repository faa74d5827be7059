"""Small tokenizers of every form, made once, and how their faces compare."""

import functools
import json
import pydoc_data.topics

import tensorflow as tf
import tokenizers
from tensorflow.core.protobuf import saved_model_pb2

from keras_bigmodel.text import BytePairTokenizer, CharacterTokenizer

# Words, contractions, runs, several scripts, marks, joiners, private use.
TEXTS = [
    "",
    " ",
    "The tokens' order: it's WE'LL, they're 12345 of 1,000.5!",
    "  two  blanks,\ttabs\t\tand\r\n\r\n newlines \n\n  \n",
    "学而时习之，不亦说乎？123 中文abc",
    "e\u0301a\u030a\u0323 \u1100\u1161\u11a8 \u212b \u0301",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd",
    "\ue000\uf8ff\U0010ffff\x00\x7f\x85\u2028\u3000x",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "<|endoftext|>a<|endoftext|><|endoftext|> b</s><unk>",
    "-" * 200 + " " * 200,
    "'s''s'S'ſ !a !!a .\n\nb",
]
BROKEN = [
    b"\xff",
    b"caf\xc3",
    b"\xe4\xbd\xa0\xe5\xa5",
    b"\xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf",
    b"a\x80b \xf0\x9f\x98 c",
]


def training_texts():
    topics = list(pydoc_data.topics.topics.values())
    return [*topics[:11], *[text for text in TEXTS if text.strip()] * 3]


@functools.cache
def byte_pair(pattern="gpt2", size=509):
    return BytePairTokenizer.train(training_texts(), size, pattern=pattern)


@functools.cache
def characters():
    return CharacterTokenizer.train(training_texts(), 97)


def spec_of(tokenizer, **changes):
    """The content of a tokenizer's file, with parts of it changed."""
    spec = json.loads(tokenizer.library.to_str())
    for name, value in changes.items():
        part, _, option = name.partition("__")
        if option:
            spec[part][option] = value
        else:
            spec[part] = value
    return spec


def changed(tokenizer, **changes):
    """A tokenizer like another one, with parts of its file changed."""
    library = tokenizers.Tokenizer.from_str(
        json.dumps(spec_of(tokenizer, **changes))
    )
    return BytePairTokenizer(library)


def assert_same(tokenizer, texts):
    """Both faces and the library itself give the same ids and texts."""
    import tensorflow as tf

    ids = tokenizer.encode(texts)
    in_graph = tokenizer(tf.constant(texts, tf.string))
    assert in_graph.dtype == tf.int32
    assert in_graph.row_splits.dtype == tf.int64
    assert in_graph.to_list() == ids
    valid = [
        text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        for text in texts
    ]
    library = tokenizer.library.encode_batch(valid)
    assert [encoding.ids for encoding in library] == ids
    for skips in (False, True):
        joined = tokenizer.detokenize(in_graph, skips).numpy()
        decoded = tokenizer.decode(ids, skips)
        assert [j.decode("utf-8", "replace") for j in joined] == decoded
    return ids


def check_operations(tokenizer, folder):
    """Saves both ways through a graph; returns its core operations."""
    module = tf.Module()
    module.run = tf.function(
        lambda texts: tokenizer.detokenize(tokenizer(texts)),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, str(folder))
    saved = saved_model_pb2.SavedModel.FromString(
        (folder / "saved_model.pb").read_bytes()
    )
    graph = saved.meta_graphs[0].graph_def
    nodes = [
        *graph.node,
        *(node for f in graph.library.function for node in f.node_def),
    ]
    operations = {node.op for node in nodes}
    assert not [op for op in operations if "Table" in op or "PyFunc" in op]
    # The server's wheel registers these itself: no library was loaded.
    known = tf.raw_ops.__dict__
    assert [op for op in operations if op not in known and op[0] != "_"] == []
    return operations
