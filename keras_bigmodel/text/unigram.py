"""Unigram models: the likeliest pieces of each word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tokenizers
from tokenizers import models, trainers

from keras_bigmodel.text.base import CONFIG_NAME, checked_texts
from keras_bigmodel.text.byte import raw_bytes
from keras_bigmodel.text.files import TokenizerFolder
from keras_bigmodel.text.library import LibraryTokenizer
from keras_bigmodel.text.lookup import GraphArray
from keras_bigmodel.text.piece_library import (
    library_of_pieces,
    pieces_of_library,
    trained_pieces,
    unigram_library,
)
from keras_bigmodel.text.piece_model import (
    CONTROL,
    read_piece_model,
    write_piece_model,
)
from keras_bigmodel.text.token_texts import TokenTexts
from keras_bigmodel.text.tokenizer_json import component_type, unsupported
from keras_bigmodel.text.unigram_text import (
    UnigramWords,
    unigram_normalizers,
)
from keras_bigmodel.text.viterbi import LikeliestPieces

if TYPE_CHECKING:
    import tensorflow as tf

ROLES = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}


class UnigramTokenizer(LibraryTokenizer):
    """Each word is cut into the pieces that are likeliest together.

    Every piece has a log-probability; of all ways to cut a word, the one with
    the highest sum is taken. A character that is no piece is unknown, or
    becomes its bytes where the vocabulary has those.

    `train` makes one, `load` reads `tokenizer.json` and the `spiece.model` of
    T5 and others of its form. `</s>` is `end_id`, `<pad>` is `pad_id` and
    `<s>`, where there is one, `start_id`. As T5 has it, `</s>` is put behind
    every text.

    Args:
        library: A tokenizer of the `tokenizers` library with a Unigram model.
        roles: The tokens that pad, start and end, by "pad_token", "bos_token"
            and "eos_token". What is left out is taken from the names above,
            where the vocabulary has them.
        chat_template: Jinja template for `apply_chat_template`.

    Raises:
        ValueError: where a component is not supported in a graph, or the
            vocabulary is wrong.

    Example:
    ```python
    import keras_bigmodel as kbm

    texts = ["the likeliest pieces of words are taken"] * 3
    tokenizer = kbm.text.UnigramTokenizer.train(texts, vocabulary_size=40)
    tokenizer.decode(tokenizer.encode(["the words"]))  # ["the words"]
    ```

    References:
        Kudo, "Subword Regularization", 2018, section 3.2.
    """

    model_type = "Unigram"
    file_sets = (("spiece.model",),)

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
        special_tokens: Sequence[str] = (),
    ) -> UnigramTokenizer:
        """Returns a tokenizer learned from texts.

        Runs of blanks become one, and blanks at the end of a text are lost;
        other characters are left as they are. `<pad>`, `</s>` and `<unk>` get
        the first ids, then the other special tokens.

        Args:
            texts: What to learn from.
            vocabulary_size: The number of ids, special tokens included. Little
                text may give fewer.
            special_tokens: Further special tokens.

        Raises:
            ValueError: where there is no text, or the vocabulary has no room
                for all single characters.
        """
        texts = checked_texts(texts)
        special = list(
            dict.fromkeys(["<pad>", "</s>", "<unk>", *special_tokens])
        )
        library = unigram_library(models.Unigram())
        trainer = trainers.UnigramTrainer(
            vocab_size=vocabulary_size,
            special_tokens=special,
            unk_token="<unk>",
            show_progress=False,
        )
        try:
            library.train_from_iterator(texts, trainer)
        except Exception as error:
            # The library's own errors are bare Exceptions.
            raise ValueError(
                f"The training failed: {error}. "
                f"Received: vocabulary_size={vocabulary_size}"
            ) from error
        return cls(library_of_pieces(trained_pieces(library)))

    def _check(self) -> None:
        join = self.spec["decoder"]
        if component_type(join, "decoder") not in (None, "Metaspace"):
            raise unsupported("decoder", join)
        self._normalizers = unigram_normalizers(self.spec)
        self._words = UnigramWords(self.spec)
        model = self.spec["model"]
        vocabulary = model["vocab"]
        self._unknown_id = model["unk_id"]
        if self._unknown_id is None:
            raise ValueError(
                "Characters without a piece need an unknown token. "
                "Received: unk_id=None"
            )
        self._pieces = LikeliestPieces(
            [piece for piece, _ in vocabulary],
            [score for _, score in vocabulary],
            self._unknown_id,
        )
        self._byte_ids = None
        if model["byte_fallback"]:
            self._byte_ids = self._ids_of_bytes(model)
        self._texts: TokenTexts | None = None

    def _ids_of_bytes(self, model: dict[str, Any]) -> GraphArray:
        ids = {piece: i for i, (piece, _) in enumerate(model["vocab"])}
        names = [f"<0x{byte:02X}>" for byte in range(256)]
        missing = [name for name in names if name not in ids]
        if missing:
            raise ValueError(
                "byte_fallback needs a piece for every byte. "
                f"Received: vocab without {missing[0]!r}"
            )
        added = {token["id"] for token in self.spec["added_tokens"]}
        if self._unknown_id not in added:
            raise ValueError(
                "With byte_fallback the unknown piece must be a special token, "
                "or text could spell it. "
                f"Received: unk_id={self._unknown_id}"
            )
        return GraphArray(np.array([ids[name] for name in names], np.int32))

    def _normalize_in_graph(self, texts: tf.Tensor) -> tf.Tensor:
        for step in self._normalizers:
            texts = step(texts)
        return texts

    def _ids_of_texts(
        self, texts: tf.Tensor, is_first: tf.Tensor
    ) -> tf.RaggedTensor:
        import tensorflow as tf

        words = self._words(texts, is_first)
        # Words come again and again: each is cut once.
        unique, index = tf.unique(words.flat_values)
        ids, characters = self._pieces(
            tf.strings.unicode_decode(unique, "UTF-8")
        )
        if self._byte_ids is None:
            ids = self._fuse_unknown(ids)
        else:
            ids = self._spell_unknown(ids, characters)
        ids = tf.gather(ids, index)
        return words.with_flat_values(ids).merge_dims(1, 2)

    def _fuse_unknown(self, ids: tf.RaggedTensor) -> tf.RaggedTensor:
        """Returns the ids with one for unknown characters in a row."""
        import tensorflow as tf

        flat, rows = ids.flat_values, ids.value_rowids()
        again = (
            (flat[1:] == self._unknown_id)
            & (flat[:-1] == self._unknown_id)
            & (rows[1:] == rows[:-1])
        )
        keep = tf.concat([tf.ones_like(flat[:1], tf.bool), ~again], 0)
        return tf.ragged.boolean_mask(ids, ids.with_flat_values(keep))

    def _spell_unknown(
        self, ids: tf.RaggedTensor, characters: tf.RaggedTensor
    ) -> tf.RaggedTensor:
        """Returns the ids with those of bytes for unknown characters."""
        import tensorflow as tf

        flat = ids.flat_values
        unknown = flat == self._unknown_id
        codes = tf.boolean_mask(characters.flat_values, unknown)
        strings = tf.strings.unicode_encode(codes[:, tf.newaxis], "UTF-8")
        places = tf.where(unknown)
        lengths = tf.tensor_scatter_nd_update(
            tf.ones_like(flat), places, tf.strings.length(strings)
        )
        parts = tf.RaggedTensor.from_row_lengths(
            tf.repeat(flat, lengths), tf.cast(lengths, tf.int64), validate=False
        )
        spelled = tf.tensor_scatter_nd_update(
            parts.flat_values,
            tf.where(tf.repeat(unknown, lengths)),
            tf.gather(self._byte_ids.tensor(), raw_bytes(strings)),
        )
        parts = parts.with_flat_values(spelled)
        return ids.with_flat_values(parts).merge_dims(1, 2)

    def _decode_in_graph(self, token_ids: tf.RaggedTensor) -> tf.Tensor:
        if self._texts is None:
            tokens = [self.id_to_token(i) for i in range(self.vocabulary_size)]
            self._texts = TokenTexts(tokens, self.library.decoder)
        return self._texts(token_ids)

    @classmethod
    def _library_of_files(cls, folder: TokenizerFolder) -> tokenizers.Tokenizer:
        model = read_piece_model(folder.bytes("spiece.model"))
        config = {}
        if CONFIG_NAME in folder:
            config = folder.json(CONFIG_NAME)
        # T5's file lacks the tokens that stand for what was left out.
        num_extra = config.get("extra_ids", 0)
        if type(num_extra) is not int or not 0 <= num_extra <= 1000:
            raise ValueError(
                f"{CONFIG_NAME} may add up to 1000 tokens. "
                f"Received: extra_ids={num_extra!r:.60}"
            )
        for number in reversed(range(num_extra)):
            model.pieces.append((f"<extra_id_{number}>", 0.0, CONTROL))
        return library_of_pieces(model)

    def _write(self) -> dict[str, str | bytes]:
        files = super()._write()
        model = pieces_of_library(self.spec)
        if model is not None:
            files["spiece.model"] = write_piece_model(model)
        return files
