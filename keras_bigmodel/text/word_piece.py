"""WordPiece: words, and the longest pieces of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import tokenizers
from tokenizers import (
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from keras_bigmodel.text.base import checked_texts
from keras_bigmodel.text.bert_text import BertNormalizer, split_words
from keras_bigmodel.text.files import TokenizerFolder
from keras_bigmodel.text.library import LibraryTokenizer
from keras_bigmodel.text.longest_pieces import LongestPieces
from keras_bigmodel.text.token_texts import TokenTexts
from keras_bigmodel.text.tokenizer_json import component_type, unsupported

if TYPE_CHECKING:
    import tensorflow as tf

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROLES = {"pad_token": "[PAD]", "bos_token": "[CLS]", "eos_token": "[SEP]"}


class WordPieceTokenizer(LibraryTokenizer):
    """Words are cut into the longest pieces the vocabulary has.

    Text is cleaned, Chinese characters are set apart, and, for an uncased
    vocabulary, letters are lowered and lose their accents; then it is cut at
    blanks and around punctuation. Of each word the longest piece it begins
    with is taken, then the longest piece (marked `##`) that goes on with it,
    and so forth; a word that cannot be cut so is `[UNK]` as a whole.

    `train` makes one, `load` reads the `tokenizer.json` or `vocab.txt` of BERT
    and others of its form. `[CLS]` stands before and `[SEP]` behind every
    text; they are `start_id` and `end_id` too, and `[PAD]` is `pad_id`.

    Args:
        library: A tokenizer of the `tokenizers` library with a WordPiece
            model.
        roles: The tokens that pad, start and end, by "pad_token", "bos_token"
            and "eos_token". What is left out is taken from BERT, where the
            vocabulary has it.
        chat_template: Jinja template for `apply_chat_template`.

    Raises:
        ValueError: where a component is not supported in a graph, or the
            vocabulary is wrong.

    Example:
    ```python
    import keras_bigmodel as kbm

    tokenizer = kbm.text.WordPieceTokenizer.train(
        ["whole words and parts of words"] * 3, vocabulary_size=60
    )
    tokenizer.decode(tokenizer.encode(["Words!"]))
    ```

    References:
        Devlin et al., "BERT", 2019, section 3.
    """

    model_type = "WordPiece"
    file_sets = (("vocab.txt",),)

    def __init__(
        self,
        library: tokenizers.Tokenizer,
        roles: dict[str, str] | None = None,
        chat_template: str | None = None,
    ):
        known = {
            role: token
            for role, token in ROLES.items()
            if library.token_to_id(token) is not None
        }
        super().__init__(library, {**known, **(roles or {})}, chat_template)

    @classmethod
    def train(
        cls,
        texts: Iterable[str | bytes],
        vocabulary_size: int,
        *,
        lowercase: bool = True,
        special_tokens: Sequence[str] = (),
    ) -> WordPieceTokenizer:
        """Returns a tokenizer learned from texts.

        The special tokens `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]`, `[MASK]` get the
        first ids, then the others.

        Args:
            texts: What to learn from.
            vocabulary_size: The number of ids, special tokens included. Little
                text may give fewer.
            lowercase: Whether to lower all letters and strip their accents.
            special_tokens: Further special tokens.

        Raises:
            ValueError: where there is no text, or the vocabulary has no room
                for all single characters.
        """
        texts = checked_texts(texts)
        special = list(dict.fromkeys([*SPECIAL_TOKENS, *special_tokens]))
        library = _library({token: i for i, token in enumerate(special)})
        library.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocabulary_size,
            special_tokens=special,
            show_progress=False,
        )
        library.train_from_iterator(texts, trainer)
        size = library.get_vocab_size()
        if size > vocabulary_size:
            raise ValueError(
                "The texts' characters, alone and within words, and the "
                f"special tokens need {size} ids. "
                f"Received: vocabulary_size={vocabulary_size}"
            )
        return cls(library)

    def _check(self) -> None:
        if component_type(self.spec["normalizer"], "normalizer") not in (
            None,
            "BertNormalizer",
        ):
            raise unsupported("normalizer", self.spec["normalizer"])
        cut = self.spec["pre_tokenizer"]
        if component_type(cut, "pre_tokenizer") != "BertPreTokenizer":
            raise unsupported("pre_tokenizer", cut)
        join = self.spec["decoder"]
        if component_type(join, "decoder") not in (None, "WordPiece"):
            raise unsupported("decoder", join)
        model = self.spec["model"]
        unknown = model["unk_token"]
        if unknown not in model["vocab"]:
            raise ValueError(
                "The vocabulary must hold the token for unknown words. "
                f"Received: unk_token={unknown!r:.60}"
            )
        self._pieces = LongestPieces(
            model["vocab"],
            model["continuing_subword_prefix"],
            model["vocab"][unknown],
            model["max_input_chars_per_word"],
        )
        self._normalizer = None
        if self.spec["normalizer"] is not None:
            self._normalizer = BertNormalizer(self.spec["normalizer"])
        self._texts: TokenTexts | None = None

    def _normalize_in_graph(self, texts: tf.Tensor) -> tf.Tensor:
        return texts if self._normalizer is None else self._normalizer(texts)

    def _ids_of_texts(
        self, texts: tf.Tensor, is_first: tf.Tensor
    ) -> tf.RaggedTensor:
        import tensorflow as tf

        words = split_words(texts)
        # Words come again and again: each is cut once.
        unique, index = tf.unique(words.flat_values)
        ids = tf.gather(self._pieces(unique), index)
        return words.with_flat_values(ids).merge_dims(1, 2)

    def _decode_in_graph(self, token_ids: tf.RaggedTensor) -> tf.Tensor:
        if self._texts is None:
            tokens = [self.id_to_token(i) for i in range(self.vocabulary_size)]
            self._texts = TokenTexts(tokens, self.library.decoder)
        return self._texts(token_ids)

    @classmethod
    def _library_of_files(cls, folder: TokenizerFolder) -> tokenizers.Tokenizer:
        lines = folder.text("vocab.txt").split("\n")
        tokens = [line.rstrip("\r") for line in lines]
        if tokens[-1] == "":
            tokens.pop()
        vocabulary = {token: i for i, token in enumerate(tokens)}
        if len(vocabulary) < len(tokens):
            twice = next(t for i, t in enumerate(tokens) if vocabulary[t] != i)
            raise ValueError(
                "A token stands twice in vocab.txt. "
                f"Received: token={twice!r:.60}"
            )
        for token in ROLES.values():
            if token not in vocabulary:
                raise ValueError(
                    "vocab.txt lacks a special token of BERT's. "
                    f"Received: no {token!r} among {len(tokens)} tokens"
                )
        library = _library(vocabulary)
        library.normalizer = _normalizer_of_config(folder, tokens)
        library.add_special_tokens(
            [token for token in SPECIAL_TOKENS if token in vocabulary]
        )
        return library

    def _write(self) -> dict[str, str | bytes]:
        tokens = [self.id_to_token(i) for i in range(self.vocabulary_size)]
        text = "".join(f"{token}\n" for token in tokens)
        return {**super()._write(), "vocab.txt": text}


def _library(vocabulary: dict[str, int]) -> tokenizers.Tokenizer:
    """Returns BERT's tokenizer but for its normalizer."""
    library = tokenizers.Tokenizer(
        models.WordPiece(vocabulary, unk_token="[UNK]")
    )
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece()
    library.post_processor = processors.BertProcessing(
        *[(token, vocabulary[token]) for token in ("[SEP]", "[CLS]")]
    )
    return library


def _normalizer_of_config(
    folder: TokenizerFolder, tokens: list[str]
) -> normalizers.Normalizer:
    """Returns the normalizer that tokenizer_config.json asks for.

    Where it does not say, a vocabulary without capitals is an uncased one.
    """
    config = {}
    if "tokenizer_config.json" in folder:
        config = folder.json("tokenizer_config.json")
    has_capitals = any(
        token != token.lower() for token in tokens if not token.startswith("[")
    )
    options = {
        "lowercase": config.get("do_lower_case", not has_capitals),
        "strip_accents": config.get("strip_accents"),
        "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
    }
    for name, value in options.items():
        if value not in (True, False, None):
            raise ValueError(
                "tokenizer_config.json must hold true or false. "
                f"Received: {name}={value!r:.60}"
            )
    return normalizers.BertNormalizer(**options)
