import tensorflow as tf

import keras_bigmodel as kbm
from tests.export.signatures.helpers import check_examples, serve


def tagger(vocabulary_size=259):
    trunk = kbm.models.encoder(vocabulary_size, 31, 1, 2, 8, pad_id=0)
    return kbm.models.token_classifier(trunk, 3)


def test_labels_and_places():
    tokenizer = kbm.text.ByteTokenizer()
    traced, signatures = serve(tagger(), tokenizer, ["O", "B", "I"])
    check_examples(traced, signatures)
    answer = traced["serving_default"](texts=tf.constant(["aé1", "", "你"]))
    assert answer["num_tokens"].numpy().tolist() == [4, 1, 3]
    assert answer["starts"].numpy().tolist() == [
        [0, 1, 2, 2],
        [0, 0, 0, 0],
        [0, 1, 1, 0],
    ]
    assert answer["ends"].numpy()[0].tolist() == [1, 2, 2, 3]
    assert answer["labels"].numpy()[2, 3] == b""


def test_character_tokens_have_their_places():
    tokenizer = kbm.text.CharacterTokenizer.train(["aéx 你1\n,ÜA"])
    model = tagger(tokenizer.vocabulary_size)
    traced, _ = serve(model, tokenizer, ["O", "B", "I"], examples=["aé"])
    answer = traced["serving_default"](texts=tf.constant(["a你1", "x"]))
    assert answer["starts"].numpy().tolist() == [[0, 1, 2], [0, 0, 0]]
    assert answer["ends"].numpy().tolist() == [[1, 2, 3], [1, 0, 0]]
