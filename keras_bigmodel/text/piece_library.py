"""The `tokenizers` library's form of SentencePiece's unigram models."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import tokenizers
from tokenizers import (
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from keras_bigmodel.text.charsmap import read_charsmap
from keras_bigmodel.text.piece_model import (
    BYTE,
    CONTROL,
    NORMAL,
    UNIGRAM,
    UNKNOWN,
    USER_DEFINED,
    PieceModel,
)
from keras_bigmodel.text.unigram_text import charsmap_of

_MARK = "\u2581"
_BYTE = re.compile("<0x[0-9A-F]{2}>")


def unigram_library(
    model: models.Unigram, charsmap: bytes = b"", adds_blank: bool = True
) -> tokenizers.Tokenizer:
    """Returns the library's tokenizer with SentencePiece's ways with blanks.

    Args:
        model: The pieces.
        charsmap: The precompiled character map, empty for none.
        adds_blank: Whether a blank is put before every text.
    """
    library = tokenizers.Tokenizer(model)
    steps = [
        normalizers.Strip(left=False, right=True),
        normalizers.Replace(Regex(" {2,}"), _MARK),
    ]
    if charsmap:
        steps.insert(0, normalizers.Precompiled(charsmap))
    library.normalizer = normalizers.Sequence(steps)
    options = {"prepend_scheme": "always" if adds_blank else "never"}
    library.pre_tokenizer = pre_tokenizers.Metaspace(**options)
    library.decoder = decoders.Metaspace(**options)
    return library


def _end_texts(library: tokenizers.Tokenizer) -> None:
    """Puts `</s>` behind every text, where there is such a piece."""
    end_id = library.token_to_id("</s>")
    if end_id is not None:
        library.post_processor = processors.TemplateProcessing(
            single="$A </s>",
            pair="$A </s> $B </s>",
            special_tokens=[("</s>", end_id)],
        )


def library_of_pieces(model: PieceModel) -> tokenizers.Tokenizer:
    """Returns the library's tokenizer of a SentencePiece unigram model.

    Raises:
        ValueError: where the model is no unigram model or has no unknown
            piece.
    """
    kinds = [kind for _, _, kind in model.pieces]
    if model.model_type != UNIGRAM or UNKNOWN not in kinds:
        raise ValueError(
            "A SentencePiece model must be a unigram model with an unknown "
            f"piece. Received: model_type={model.model_type}, "
            f"{kinds.count(UNKNOWN)} unknown pieces"
        )
    if model.charsmap:
        # Read once here, so that the library is given nothing damaged.
        read_charsmap(model.charsmap)
    vocabulary = [(piece, score) for piece, score, _ in model.pieces]
    unigram = models.Unigram(
        vocabulary, kinds.index(UNKNOWN), model.byte_fallback
    )
    library = unigram_library(unigram, model.charsmap, model.adds_blank)
    for piece, _, kind in model.pieces:
        token = tokenizers.AddedToken(piece, normalized=False)
        if kind in (UNKNOWN, CONTROL):
            library.add_special_tokens([token])
        elif kind == USER_DEFINED:
            library.add_tokens([token])
    _end_texts(library)
    return library


def trained_pieces(library: tokenizers.Tokenizer) -> PieceModel:
    """Returns a trained tokenizer's model, scores rounded as in the file."""
    spec = json.loads(library.to_str())
    model = spec["model"]
    model["vocab"] = [
        [piece, float(np.float32(score))] for piece, score in model["vocab"]
    ]
    return _model(spec, b"", True)


def pieces_of_library(spec: dict[str, Any]) -> PieceModel | None:
    """Returns a tokenizer's SentencePiece model, None where it has no such.

    Such a model knows but one way to treat blanks, holds all its tokens as
    pieces, and their scores in float32.

    Args:
        spec: The content of a tokenizer.json.
    """
    vocabulary = spec["model"]["vocab"]
    scores = np.array([score for _, score in vocabulary])
    added = [token["id"] for token in spec["added_tokens"]]
    if max(added, default=0) >= len(vocabulary) or np.any(
        scores != scores.astype(np.float32)
    ):
        return None
    charsmap = charsmap_of(spec)
    adds_blank = spec["pre_tokenizer"].get("prepend_scheme") == "always"
    usual = unigram_library(models.Unigram(), charsmap, adds_blank)
    parts = json.loads(usual.to_str())
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        if spec[part] != parts[part]:
            return None
    return _model(spec, charsmap, adds_blank)


def _model(
    spec: dict[str, Any], charsmap: bytes, adds_blank: bool
) -> PieceModel:
    model = spec["model"]
    kinds = [
        BYTE if model["byte_fallback"] and _BYTE.fullmatch(piece) else NORMAL
        for piece, _ in model["vocab"]
    ]
    for token in spec["added_tokens"]:
        kinds[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    kinds[model["unk_id"]] = UNKNOWN
    return PieceModel(
        [
            (piece, score, kind)
            for (piece, score), kind in zip(model["vocab"], kinds, strict=True)
        ],
        charsmap=charsmap,
        adds_blank=adds_blank,
        byte_fallback=model["byte_fallback"],
    )
