"""Byte-pair encoding."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from keras_bigmodel.text.base import checked_texts
from keras_bigmodel.text.byte_level import ByteLevel
from keras_bigmodel.text.files import TokenizerFolder
from keras_bigmodel.text.library import LibraryTokenizer, library_tokenizer
from keras_bigmodel.text.lookup import GraphArray, StringTable
from keras_bigmodel.text.merging import PairMerger
from keras_bigmodel.text.splitting import GPT2, LLAMA3, QWEN2
from keras_bigmodel.text.tokenizer_json import unsupported

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
        """Return a byte-level tokenizer learned from texts.

        Special tokens get the first ids, in the order pad, start, end, then
        the others.

        Args:
            texts: what to learn from.
            vocabulary_size: the number of ids, the 256 bytes and the special
                tokens included. Little text may give fewer.
            pattern: how text is cut into words: "gpt2", "llama3" or "qwen2".
            pad_token: the token that fills short rows, or None.
            start_token: the token that starts a text, or None.
            end_token: the token that ends a text, or None.
            special_tokens: further special tokens.

        Raises:
            ValueError: there is no text, the vocabulary is too small or the
                pattern unknown.
        """
        if pattern not in PATTERN_NAMES:
            raise ValueError(
                f"The pattern is one of {sorted(PATTERN_NAMES)}. "
                f"Received: pattern={pattern!r}"
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
        library = _byte_level_library(models.BPE(), PATTERN_NAMES[pattern])
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        library.train_from_iterator(checked_texts(texts), trainer)
        return cls(library, roles)

    def _check(self) -> None:
        model = self.spec["model"]
        check_model(model)
        self._scheme = ByteLevel(self.spec)
        if self.spec["normalizer"] is not None:
            raise unsupported("normalizer", self.spec["normalizer"])
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
        added = self.spec["added_tokens"]
        tokens = {**vocabulary, **{t["content"]: t["id"] for t in added}}
        self._contents = GraphArray(
            [
                self._scheme.content(token)
                for token in sorted(tokens, key=tokens.get)
            ]
        )

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

        contents = tf.gather(self._contents.tensor(), token_ids.flat_values)
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
        library = _byte_level_library(models.BPE(), GPT2)
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


def check_model(model: dict[str, Any]) -> None:
    """Check the options of a BPE model, and that merges name tokens.

    Raises:
        ValueError: an option is unknown or not supported, or a merge names
            a missing token.
    """
    for name, value in model.items():
        if name not in ("type", "vocab", "merges", *_PLAIN_OPTIONS):
            raise unsupported(name, value)
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        # Dropout of 0 and empty text change nothing.
        if model.get(name):
            raise unsupported(name, model[name])
    vocabulary = model["vocab"]
    for pair in pairs_of(model):
        for token in (*pair, "".join(pair)):
            if token not in vocabulary:
                raise ValueError(
                    f"A merge names the token {token!r:.60}, which is not in "
                    f"the vocabulary. Received: merge={pair!r:.120}"
                )


_PLAIN_OPTIONS = (
    "dropout",
    "unk_token",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
)


def pairs_of(model: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the merges as pairs, from either form the files have.

    Raises:
        ValueError: a merge is no pair of tokens.
    """
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise unsupported("merges", merges)
    pairs = []
    for merge in merges:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if (
            not isinstance(pair, (list, tuple))
            or len(pair) != 2
            or not all(isinstance(part, str) and part for part in pair)
        ):
            raise ValueError(
                "A merge is a pair of tokens. "
                f"Received: merge={str(merge)[:120]!r}"
            )
        pairs.append((pair[0], pair[1]))
    return pairs


def merge_ids(
    model: dict[str, Any],
) -> tuple[list[int], list[int], list[int]]:
    """Return the ids that are merged and made, by rank.

    A pair that stands twice counts where it stands last, as in the library.
    """
    vocabulary = model["vocab"]
    ranks = {pair: rank for rank, pair in enumerate(pairs_of(model))}
    pairs = sorted(ranks, key=ranks.get)
    return (
        [vocabulary[left] for left, _ in pairs],
        [vocabulary[right] for _, right in pairs],
        [vocabulary[left + right] for left, right in pairs],
    )


def _byte_level_library(
    model: models.BPE, pattern: str
) -> tokenizers.Tokenizer:
    library = tokenizers.Tokenizer(model)
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
