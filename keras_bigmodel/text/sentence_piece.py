"""Byte-pair encoding as SentencePiece has it: Llama 2, Mistral, Gemma."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from keras_bigmodel.text.byte import raw_bytes
from keras_bigmodel.text.lookup import GraphArray, IntegerTable
from keras_bigmodel.text.normalizing import replace, replaced_string
from keras_bigmodel.text.splitting import cut
from keras_bigmodel.text.tokenizer_json import components, unsupported

if TYPE_CHECKING:
    import tensorflow as tf

BLANK = "\u2581"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class SentencePiece:
    """How a SentencePiece-like tokenizer cuts, spells and joins text.

    The first symbols are characters. One without a token becomes its UTF-8
    bytes, where there are tokens for bytes, else the unknown token.

    Args:
        spec: the content of a tokenizer.json.

    Raises:
        ValueError: a component is not supported, or there is no token for
            unknown characters.
    """

    def __init__(self, spec: dict[str, Any]):
        self._metaspace = _metaspace_of(spec)
        model = spec["model"]
        vocabulary = model["vocab"]
        known = {t: i for t, i in vocabulary.items() if len(t) == 1}
        self._ids = IntegerTable(
            np.array([ord(token) for token in known], np.int64),
            np.array(list(known.values()), np.int32),
        )
        self._fuses = bool(model.get("fuse_unk"))
        self._unknown = vocabulary.get(model.get("unk_token"), -1)
        self._byte_ids = None
        if model.get("byte_fallback"):
            names = [f"<0x{byte:02X}>" for byte in range(256)]
            for name in names:
                if name not in vocabulary:
                    raise ValueError(
                        "byte_fallback needs a token for every byte. "
                        f"Received: vocab without {name!r}"
                    )
            ids = [vocabulary[name] for name in names]
            self._byte_ids = GraphArray(np.array(ids, np.int32))
        elif self._unknown < 0:
            raise ValueError(
                "Characters without a token need an unknown token or "
                "byte_fallback. Received: "
                f"unk_token={model.get('unk_token')!r:.60}"
            )
        self._read_decoder(spec)

    def _read_decoder(self, spec: dict[str, Any]) -> None:
        steps = components(spec["decoder"], "decoder", "decoders")
        self._replaced: list[tuple[str, str]] = []
        self._reads_bytes = False
        self._strip = 0
        self.drops_first_blank = False
        joins = False
        for place, step in enumerate(steps):
            pattern = replaced_string(step)
            if pattern and not joins:
                self._replaced.append((pattern, step["content"]))
            elif step["type"] == "ByteFallback" and not joins:
                self._reads_bytes = True
            elif step["type"] == "Fuse":
                joins = True
            elif _strips_blanks(step) and joins and place == len(steps) - 1:
                self._strip = step["start"]
            elif step["type"] == "Metaspace" and len(steps) == 1:
                self._replaced.append((step.get("replacement", BLANK), " "))
                scheme = step.get("prepend_scheme", "always")
                self.drops_first_blank = scheme != "never"
                joins = True
            else:
                raise unsupported("decoder", step)
        if not joins:
            raise unsupported("decoder", spec["decoder"])

    def words(self, texts: tf.Tensor, is_first: tf.Tensor) -> tf.RaggedTensor:
        """Return the words (segments, words) of text."""
        import tensorflow as tf

        filled = texts != ""
        if self._metaspace is not None:
            texts = _add_blanks(texts, is_first, **self._metaspace)
        if self._metaspace is not None and self._metaspace["split"]:
            characters = tf.strings.unicode_decode(texts, "UTF-8")
            blank = ord(self._metaspace["replacement"])
            return cut(characters, characters.flat_values == blank)
        return tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(texts, filled),
            tf.cast(filled, tf.int64),
            validate=False,
        )

    def symbols(self, words: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the first ids of all words, and how many each word has."""
        import tensorflow as tf

        characters = tf.strings.unicode_decode(words, "UTF-8")
        codes = characters.flat_values
        ids = self._ids(tf.cast(codes, tf.int64))
        if self._byte_ids is not None:
            ids = characters.with_flat_values(self._spell(codes, ids))
            ids = ids.merge_dims(1, 2)
            return ids.flat_values, ids.row_lengths()
        unknown = ids < 0
        ids = tf.where(unknown, self._unknown, ids)
        if not self._fuses:
            return ids, characters.row_lengths()
        rows = characters.value_rowids()
        again = unknown[1:] & unknown[:-1] & (rows[1:] == rows[:-1])
        keep = tf.concat([[True], ~again], 0)[: tf.size(ids)]
        ids = tf.ragged.boolean_mask(
            characters.with_flat_values(ids),
            characters.with_flat_values(keep),
        )
        return ids.flat_values, ids.row_lengths()

    def _spell(self, codes: tf.Tensor, ids: tf.Tensor) -> tf.RaggedTensor:
        """Return the ids of each character: its own, or its bytes'."""
        import tensorflow as tf

        is_known = ids >= 0
        unknown = tf.boolean_mask(codes, ~is_known)[:, tf.newaxis]
        strings = tf.strings.unicode_encode(unknown, "UTF-8")
        byte_ids = tf.gather(self._byte_ids.tensor(), raw_bytes(strings))
        known = tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(ids, is_known),
            tf.cast(is_known, tf.int64),
            validate=False,
        )
        num_bytes = tf.scatter_nd(
            tf.where(~is_known),
            tf.cast(tf.strings.length(strings), tf.int64),
            tf.shape(ids, tf.int64),
        )
        spelled = tf.RaggedTensor.from_row_lengths(
            byte_ids, num_bytes, validate=False
        )
        return tf.concat([known, spelled], axis=1)

    def content(self, token: str, first: bool = False) -> bytes:
        """Return the bytes a token stands for, at a text's start or not."""
        for pattern, content in self._replaced:
            if first and self.drops_first_blank:
                content = ""
            token = token.replace(pattern, content)
        found = _BYTE.fullmatch(token) if self._reads_bytes else None
        return bytes([int(found[1], 16)]) if found else token.encode()

    def join(self, tokens: tf.RaggedTensor) -> tf.Tensor:
        """Return the text of rows of contents."""
        import tensorflow as tf

        texts = tf.strings.reduce_join(tokens, axis=-1)
        if not self._strip:
            return texts
        return tf.strings.regex_replace(
            texts, f"^ {{1,{self._strip}}}", "", replace_global=False
        )


def _metaspace_of(spec: dict[str, Any]) -> dict[str, Any] | None:
    """Return the options of the pre-tokenizer, None where it does nothing."""
    pre_tokenizer = spec["pre_tokenizer"]
    steps = components(pre_tokenizer, "pre_tokenizer", "pretokenizers")
    if not steps:
        return None
    normalizers = components(spec["normalizer"], "normalizer", "normalizers")
    if (
        len(steps) == 1
        and steps[0]["type"] == "Split"
        and steps[0].get("pattern") == {"String": " "}
        and any(replaced_string(step) == " " for step in normalizers[-1:])
    ):
        # Gemma cuts at blanks after all blanks have been replaced.
        return None
    if len(steps) != 1 or steps[0]["type"] != "Metaspace":
        raise unsupported("pre_tokenizer", pre_tokenizer)
    replacement = steps[0].get("replacement")
    scheme = steps[0].get("prepend_scheme", "always")
    if (
        not isinstance(replacement, str)
        or len(replacement) != 1
        or scheme not in ("always", "first", "never")
    ):
        raise unsupported("pre_tokenizer", pre_tokenizer)
    return {
        "replacement": replacement,
        "scheme": scheme,
        "split": steps[0].get("split", True),
    }


def _add_blanks(
    texts: tf.Tensor,
    is_first: tf.Tensor,
    replacement: str,
    scheme: str,
    split: bool,
) -> tf.Tensor:
    import tensorflow as tf

    del split
    texts = replace(texts, " ", replacement)
    if scheme == "never":
        return texts
    pattern = f"(?s){re.escape(replacement)}.*"
    bare = ~tf.strings.regex_full_match(texts, pattern) & (texts != "")
    if scheme == "first":
        bare &= is_first
    return tf.where(bare, tf.strings.join([replacement, texts]), texts)


def _strips_blanks(step: dict[str, Any]) -> bool:
    return (
        step["type"] == "Strip"
        and step.get("content") == " "
        and step.get("stop") == 0
        and step.get("start") in range(1, 100)
    )


def train_sentence_piece(
    texts: list[str], vocabulary_size: int, special_tokens: list[str]
) -> tokenizers.Tokenizer:
    """Return the library's tokenizer, with byte fall-back, of the texts.

    Args:
        texts: what to learn from.
        vocabulary_size: the number of ids, all tokens included.
        special_tokens: the tokens with the first ids.

    Raises:
        ValueError: the vocabulary is too small.
    """
    special = list(dict.fromkeys([*special_tokens, "<unk>"]))
    names = [f"<0x{byte:02X}>" for byte in range(256)]
    if vocabulary_size <= len(special) + 256:
        raise ValueError(
            f"The 256 bytes and {len(special)} special tokens need a larger "
            f"vocabulary. Received: {vocabulary_size=}"
        )
    library = tokenizers.Tokenizer(
        models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    # At most half of what is left may go to characters: bytes spell others.
    num_characters = max(1, (vocabulary_size - len(special) - 256) // 2)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[*special, *names],
        limit_alphabet=num_characters,
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    # Words were only for training: text is merged as a whole.
    library.pre_tokenizer = None
    library.normalizer = normalizers.Sequence(
        [normalizers.Prepend(BLANK), normalizers.Replace(" ", BLANK)]
    )
    library.decoder = decoders.Sequence(
        [
            decoders.Replace(BLANK, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    # The bytes' names are no tokens of the text: only spelling makes them.
    spec = json.loads(library.to_str())
    spec["added_tokens"] = [
        token for token in spec["added_tokens"] if token["content"] not in names
    ]
    return tokenizers.Tokenizer.from_str(json.dumps(spec))
