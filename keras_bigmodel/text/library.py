"""What the tokenizers backed by the `tokenizers` library have in common."""

from __future__ import annotations

import abc
import json
from typing import TYPE_CHECKING, Any

import tokenizers

from keras_bigmodel.text.added_tokens import AddedTokens
from keras_bigmodel.text.base import ROLES, Tokenizer, as_text
from keras_bigmodel.text.files import TokenizerFolder
from keras_bigmodel.text.tokenizer_json import check_tokenizer, special_frame

if TYPE_CHECKING:
    import tensorflow as tf


class LibraryTokenizer(Tokenizer):
    """A tokenizer whose Python face is the `tokenizers` library's.

    A subclass overrides `_check`, `_normalize_in_graph`, `_ids_of_texts` and
    `_decode_in_graph`, and reads the parts of tokenizer.json from `spec`.

    Args:
        library: the library's tokenizer.
        roles: the tokens that pad, start and end, by "pad_token",
            "bos_token" and "eos_token".
        chat_template: Jinja template for `apply_chat_template`.

    Raises:
        ValueError: a component is not supported in a graph, the vocabulary
            has gaps or duplicates, or a role names an unknown token.
    """

    def __init__(
        self,
        library: tokenizers.Tokenizer,
        roles: dict[str, str] | None = None,
        chat_template: str | None = None,
    ):
        self.library = library
        self.spec: dict[str, Any] = json.loads(library.to_str())
        check_tokenizer(self.spec)
        self._check()
        prefix, suffix = special_frame(self.spec["post_processor"])
        self._size = library.get_vocab_size(with_added_tokens=True)
        ids = {}
        for name, role in ROLES.items():
            token = (roles or {}).get(role)
            ids[name] = None if token is None else library.token_to_id(token)
            if token is not None and ids[name] is None:
                raise ValueError(
                    "A special token must be in the vocabulary. "
                    f"Received: {role}={token!r:.100}"
                )
        super().__init__(
            {
                token["content"]: token["id"]
                for token in self.spec["added_tokens"]
                if token["special"]
            },
            **ids,
            prefix_ids=prefix,
            suffix_ids=suffix,
            chat_template=chat_template,
        )
        self._added = AddedTokens(
            self.spec["added_tokens"],
            library.normalizer.normalize_str if library.normalizer else str,
        )

    @property
    def vocabulary_size(self) -> int:
        """The number of ids, special tokens included."""
        return self._size

    def tokens(self) -> list[str]:
        """Return all tokens, by id, as the library decodes them."""
        size = self.library.get_vocab_size(with_added_tokens=True)
        return [self.library.id_to_token(i) for i in range(size)]

    def token_to_id(self, token: str) -> int | None:
        """Return a token's id, or None where there is no such token."""
        return self.library.token_to_id(token)

    def id_to_token(self, token_id: int) -> str | None:
        """Return an id's token, or None where there is no such id."""
        return self.library.id_to_token(token_id)

    def _encode(self, texts: list[str | bytes]) -> list[list[int]]:
        encodings = self.library.encode_batch_fast(
            [as_text(text) for text in texts], add_special_tokens=False
        )
        return [encoding.ids for encoding in encodings]

    def _decode(self, rows: list[list[int]]) -> list[str]:
        return self.library.decode_batch(rows, skip_special_tokens=False)

    def _encode_in_graph(self, texts: tf.Tensor) -> tf.RaggedTensor:
        import tensorflow as tf

        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")
        segments = tf.RaggedTensor.from_tensor(texts[:, tf.newaxis])
        found = tf.fill(tf.shape(texts), -1)
        segments, found = self._added.split(segments, found, False)
        strings = tf.where(found < 0, segments.flat_values, "")
        normalized = self._normalize_in_graph(strings)
        segments = segments.with_flat_values(
            tf.where(found < 0, normalized, segments.flat_values)
        )
        segments, found = self._added.split(segments, found, True)
        strings = tf.where(found < 0, segments.flat_values, "")
        is_first = _is_first(segments)
        ids = self._ids_of_texts(strings, is_first)
        if self.spec["added_tokens"]:
            alone = tf.RaggedTensor.from_row_lengths(
                tf.boolean_mask(found, found >= 0),
                tf.cast(found >= 0, tf.int64),
                validate=False,
            )
            ids = tf.concat([alone, ids], axis=1)
        return segments.with_flat_values(ids).merge_dims(1, 2)

    @classmethod
    def _check_model(cls, model: dict[str, Any]) -> None:
        """Raise ValueError for a model the library may not say clearly."""

    def _check(self) -> None:
        """Raise ValueError for a component this kind does not support."""

    def _normalize_in_graph(self, texts: tf.Tensor) -> tf.Tensor:
        return texts

    @abc.abstractmethod
    def _ids_of_texts(
        self, texts: tf.Tensor, is_first: tf.Tensor
    ) -> tf.RaggedTensor:
        """Return int32 ids (segments, ragged) of normalized text.

        Args:
            texts: strings (segments,), valid UTF-8, some of them empty.
            is_first: whether the segment begins its text.
        """

    @classmethod
    def _read(
        cls, folder: TokenizerFolder, config: dict[str, Any]
    ) -> LibraryTokenizer:
        if "tokenizer.json" in folder:
            spec = folder.json("tokenizer.json")
            check_tokenizer(spec)
            cls._check_model(spec["model"])
            library = library_tokenizer(spec)
        else:
            library = cls._library_of_files(folder)
        return cls(library, *read_config(folder, config, library))

    @classmethod
    def _library_of_files(cls, folder: TokenizerFolder) -> Any:
        """Return the library's tokenizer from other files than its own."""
        raise ValueError(
            f"A {cls.__name__} is kept in tokenizer.json. "
            f"Received: path={str(folder.path)!r}"
        )

    def _write(self) -> dict[str, str | bytes]:
        return {"tokenizer.json": self.library.to_str(pretty=True)}


def library_tokenizer(spec: dict[str, Any]) -> tokenizers.Tokenizer:
    """Return the library's tokenizer of a tokenizer.json's content.

    Raises:
        ValueError: it is wrong, or the library refuses it.
    """
    # First, for an id far away makes the library count up to it.
    check_tokenizer(spec)
    try:
        return tokenizers.Tokenizer.from_str(json.dumps(spec))
    except BaseException as error:
        # The library's own errors are bare Exceptions, or panics, which are
        # not even that.
        if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise
        raise ValueError(
            f"tokenizer.json is not what it should be: {error}. "
            f"Received: model={str(spec.get('model'))[:60]}"
        ) from None


def read_config(
    folder: TokenizerFolder,
    config: dict[str, Any],
    library: tokenizers.Tokenizer,
) -> tuple[dict[str, str], str | None]:
    """Return the tokens by role and the chat template.

    Raises:
        ValueError: an entry is not what it should be.
    """
    roles = {}
    for role in ROLES.values():
        token = config.get(role)
        token = token.get("content") if isinstance(token, dict) else token
        if token is None:
            continue
        if not isinstance(token, str):
            raise ValueError(
                f"{role} must be a token. Received: {role}={token!r:.100}"
            )
        roles[role] = token
    if not config and library.token_to_id("<|endoftext|>") is not None:
        # Folders of GPT-2's time hold no tokenizer_config.json.
        roles = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    if "chat_template.jinja" in folder:
        return roles, folder.text("chat_template.jinja")
    template = config.get("chat_template")
    if isinstance(template, list):
        template = next(
            (
                entry.get("template")
                for entry in template
                if isinstance(entry, dict) and entry.get("name") == "default"
            ),
            None,
        )
    if template is not None and not isinstance(template, str):
        raise ValueError(
            "chat_template must be text. "
            f"Received: chat_template={template!r:.100}"
        )
    return roles, template


def _is_first(segments: tf.RaggedTensor) -> tf.Tensor:
    """Return whether each segment is the first of its text that has one."""
    import tensorflow as tf

    starts = tf.gather(segments.row_starts(), segments.value_rowids())
    flat = segments.flat_values
    filled = tf.cast(tf.strings.length(flat) > 0, tf.int32)
    before = tf.cumsum(filled, exclusive=True)
    return before == tf.gather(before, starts)
