"""Byte-pair encoding."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from keras_bigmodel.text.base import checked_texts
from keras_bigmodel.text.bpe_model import check_model, merge_ids, pairs_of
from keras_bigmodel.text.byte_level import ByteLevel
from keras_bigmodel.text.files import TokenizerFolder
from keras_bigmodel.text.library import LibraryTokenizer, library_tokenizer
from keras_bigmodel.text.lookup import GraphArray, StringTable
from keras_bigmodel.text.merging import PairMerger
from keras_bigmodel.text.normalizing import normalizer_steps
from keras_bigmodel.text.sentence_piece import (
    SentencePiece,
    train_sentence_piece,
)
from keras_bigmodel.text.splitting import GPT2, LLAMA3, QWEN2
from keras_bigmodel.text.tokenizer_json import components

if TYPE_CHECKING:
    import tensorflow as tf

PATTERN_NAMES = {"gpt2": GPT2, "llama3": LLAMA3, "qwen2": QWEN2}


class BytePairTokenizer(LibraryTokenizer):
    """Frequent sequences of bytes or characters are tokens.

    Text is cut into words, words into bytes, and then the pair of
    neighbours that was learned first is merged, again and again, until no
    learned pair is left. `train` makes one, `load` reads the files of GPT-2,
    Llama 3, Qwen 2 and others of their form.

    Args:
        library: a tokenizer of the `tokenizers` library with a BPE model.
        roles: the tokens that pad, start and end, by "pad_token",
            "bos_token" and "eos_token".
        chat_template: Jinja template for `apply_chat_template`.

    Raises:
        ValueError: a component is not supported in a graph, or the
            vocabulary and merges do not fit each other.

    Example:
    ```python
    import keras_bigmodel as kbm

    tokenizer = kbm.text.BytePairTokenizer.train(
        ["to be or not to be"], vocabulary_size=270
    )
    ids = tokenizer.encode(["to be"])
    tokenizer.decode(ids)  # ["to be"]
    ```

    References:
        Sennrich et al., Neural Machine Translation of Rare Words with
        Subword Units, 2016, section 3.2; Radford et al., Language Models
        are Unsupervised Multitask Learners, 2019, section 2.2.
    """

    model_type = "BPE"
    file_sets = (("vocab.json", "merges.txt"),)

    @classmethod
    def train(
        cls,
        texts: Iterable[str | bytes],
        vocabulary_size: int,
        *,
        pattern: str = "gpt2",
        pad_token: str | None = "<|pad|>",
        start_token: str | None = "<|endoftext|>",
        end_token: str | None = "<|endoftext|>",
        special_tokens: Sequence[str] = (),
    ) -> BytePairTokenizer:
        """Return a tokenizer learned from texts.

        Special tokens get the first ids, in the order pad, start, end, then
        the others.

        Args:
            texts: what to learn from.
            vocabulary_size: the number of ids, the 256 bytes and the special
                tokens included. Little text may give fewer.
            pattern: how text is cut into words: "gpt2", "llama3" or "qwen2";
                or "sentencepiece", as Llama 2, Mistral and Gemma do it: the
                first symbols are characters, and bytes stand for those that
                are not in the vocabulary.
            pad_token: the token that fills short rows, or None.
            start_token: the token that starts a text, or None.
            end_token: the token that ends a text, or None.
            special_tokens: further special tokens.

        Raises:
            ValueError: there is no text, the vocabulary is too small or the
                pattern unknown.
        """
        names = [*PATTERN_NAMES, "sentencepiece"]
        if pattern not in names:
            raise ValueError(
                f"The pattern is one of {names}. Received: pattern={pattern!r}"
            )
        roles = {
            "pad_token": pad_token,
            "bos_token": start_token,
            "eos_token": end_token,
        }
        roles = {role: token for role, token in roles.items() if token}
        special = list(dict.fromkeys([*roles.values(), *special_tokens]))
        if vocabulary_size < 256 + len(special):
            raise ValueError(
                f"The 256 bytes and {len(special)} special tokens need a "
                f"larger vocabulary. Received: {vocabulary_size=}"
            )
        texts = checked_texts(texts)
        if pattern == "sentencepiece":
            return cls(
                train_sentence_piece(texts, vocabulary_size, special), roles
            )
        library = _byte_level_library(PATTERN_NAMES[pattern])
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        library.train_from_iterator(texts, trainer)
        return cls(library, roles)

    @classmethod
    def _check_model(cls, model: dict[str, Any]) -> None:
        check_model(model)

    def _check(self) -> None:
        model = self.spec["model"]
        check_model(model)
        self._steps = normalizer_steps(self.spec["normalizer"])
        decoders = components(self.spec["decoder"], "decoder", "decoders")
        is_byte_level = any(step["type"] == "ByteLevel" for step in decoders)
        self._scheme = (ByteLevel if is_byte_level else SentencePiece)(
            self.spec
        )
        vocabulary = model["vocab"]
        ids = sorted((i, token) for token, i in vocabulary.items())
        lengths = np.zeros(ids[-1][0] + 1, np.int64)
        lengths[[i for i, _ in ids]] = [len(token) for _, token in ids]
        left, right, merged = merge_ids(model)
        self._merger = PairMerger(left, right, merged, lengths)
        self._whole_words = None
        if model.get("ignore_merges"):
            self._whole_words = StringTable(
                [self._scheme.content(token) for _, token in ids],
                np.array([i for i, _ in ids]),
            )
        tokens = self.tokens()
        # A second half for the tokens that begin a text.
        self._contents = GraphArray(
            [self._scheme.content(token) for token in tokens]
            + [self._scheme.content(token, first=True) for token in tokens]
        )

    def _normalize_in_graph(self, texts: tf.Tensor) -> tf.Tensor:
        for step in self._steps:
            texts = step(texts)
        return texts

    def _ids_of_texts(
        self, texts: tf.Tensor, is_first: tf.Tensor
    ) -> tf.RaggedTensor:
        import tensorflow as tf

        words = self._scheme.words(texts, is_first)
        # Words come again and again: each is merged once.
        unique, index = tf.unique(words.flat_values)
        ids = self._ids_of_words(unique)
        ids = tf.gather(ids, index)
        return words.with_flat_values(ids).merge_dims(1, 2)

    def _ids_of_words(self, words: tf.Tensor) -> tf.RaggedTensor:
        import tensorflow as tf

        if self._whole_words is None:
            return self._merger(*self._scheme.symbols(words))
        whole = self._whole_words(words)
        alone = tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(whole, whole >= 0),
            tf.cast(whole >= 0, tf.int64),
            validate=False,
        )
        rest = tf.where(whole >= 0, "", words)
        merged = self._merger(*self._scheme.symbols(rest))
        return tf.concat([alone, merged], axis=1)

    def _decode_in_graph(self, token_ids: tf.RaggedTensor) -> tf.Tensor:
        import tensorflow as tf

        # A wrong id must not be read as one of the second half.
        ids = tf.gather(tf.range(self.vocabulary_size), token_ids.flat_values)
        if self._scheme.drops_first_blank:
            places = tf.range(tf.size(ids, tf.int64))
            starts = tf.gather(token_ids.row_starts(), token_ids.value_rowids())
            is_first = tf.cast(places == starts, tf.int32)
            ids += is_first * self.vocabulary_size
        contents = tf.gather(self._contents.tensor(), ids)
        return self._scheme.join(token_ids.with_flat_values(contents))

    @classmethod
    def _library_of_files(cls, folder: TokenizerFolder) -> tokenizers.Tokenizer:
        merges = [
            line.split(" ")
            for line in folder.text("merges.txt").splitlines()
            if line and not line.startswith("#version")
        ]
        model = {
            "type": "BPE",
            "vocab": folder.json("vocab.json"),
            "merges": merges,
        }
        check_model(model)
        library = _byte_level_library(GPT2)
        spec = {**json.loads(library.to_str()), "model": model}
        if "<|endoftext|>" in model["vocab"]:
            spec["added_tokens"] = [
                {
                    "id": model["vocab"]["<|endoftext|>"],
                    "content": "<|endoftext|>",
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
            ]
        return library_tokenizer(spec)

    def _write(self) -> dict[str, str | bytes]:
        model = self.spec["model"]
        merges = "\n".join(" ".join(pair) for pair in pairs_of(model))
        return {
            **super()._write(),
            "vocab.json": json.dumps(model["vocab"], ensure_ascii=False),
            "merges.txt": f"#version: 0.2\n{merges}\n",
        }


def _byte_level_library(pattern: str) -> tokenizers.Tokenizer:
    library = tokenizers.Tokenizer(models.BPE())
    if pattern == GPT2:
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        library.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
                pre_tokenizers.ByteLevel(
                    add_prefix_space=False, use_regex=False
                ),
            ]
        )
    library.decoder = decoders.ByteLevel()
    return library
