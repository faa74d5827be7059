"""The library's form of SentencePiece's models, and SentencePiece itself."""

import io
import json

import numpy as np
import pytest
import tokenizers
from tokenizers import models

from keras_bigmodel.text.piece_library import (
    library_of_pieces,
    pieces_of_library,
    trained_pieces,
    unigram_library,
)
from keras_bigmodel.text.piece_model import (
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    PieceModel,
    read_piece_model,
)
from tests.text.charsmaps import charsmap
from tests.text.tokenizers_for_tests import training_texts

MODEL = PieceModel(
    [
        ("<unk>", 0.0, UNKNOWN),
        ("</s>", 0.0, CONTROL),
        ("<sep>", 0.0, USER_DEFINED),
        ("\u2581a", -1.5, NORMAL),
        ("b", -2.25, NORMAL),
    ],
    charsmap=charsmap(),
)


def spec_of(library):
    return json.loads(library.to_str())


@pytest.mark.parametrize("adds_blank", [True, False])
def test_there_and_back(adds_blank):
    model = PieceModel(MODEL.pieces, adds_blank=adds_blank)
    assert pieces_of_library(spec_of(library_of_pieces(model))) == model
    assert pieces_of_library(spec_of(library_of_pieces(MODEL))) == MODEL


def test_tokens_and_ends():
    library = library_of_pieces(MODEL)
    tokens = library.encode("ａ<sep>b  x").tokens
    assert tokens == ["\u2581a", "<sep>", "\u2581", "b", "\u2581x", "</s>"]
    assert library.encode("a").tokens == ["\u2581a", "</s>"]


def test_what_the_file_cannot_hold():
    spec = spec_of(library_of_pieces(MODEL))
    other = {**spec, "normalizer": None}
    assert pieces_of_library(other) is None
    library = tokenizers.Tokenizer.from_str(json.dumps(spec))
    library.add_tokens(["more"])
    assert pieces_of_library(spec_of(library)) is None
    spec["model"]["vocab"][3][1] = -0.1
    assert pieces_of_library(spec) is None


def test_trained_scores_are_rounded():
    library = unigram_library(models.Unigram([("<unk>", 0.0), ("a", -0.1)], 0))
    model = trained_pieces(library)
    assert model.pieces[1] == ("a", float(np.float32(-0.1)), NORMAL)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (PieceModel(MODEL.pieces, model_type=2), "model_type=2, 1 unknown"),
        (PieceModel(MODEL.pieces[1:]), "model_type=1, 0 unknown"),
        (PieceModel(MODEL.pieces, charsmap=b"abc"), "map is damaged"),
    ],
)
def test_bad_models(model, message):
    with pytest.raises(ValueError, match=message):
        library_of_pieces(model)


def test_files_of_sentencepiece_itself():
    sentencepiece = pytest.importorskip(
        "sentencepiece", reason="sentencepiece is not installed"
    )
    content = io.BytesIO()
    texts = [line for text in training_texts() for line in text.split("\n")]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=content,
        vocab_size=300,
        model_type="unigram",
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(
        model_proto=content.getvalue()
    )
    model = read_piece_model(content.getvalue())
    pieces = [processor.id_to_piece(i) for i in range(300)]
    assert [piece for piece, _, _ in model.pieces] == pieces
    library = library_of_pieces(model)
    for text in ("the ﬁne order", "it is ｆｕｌｌ"):
        ids = library.encode(text, add_special_tokens=False).ids
        assert ids == processor.encode(text)
