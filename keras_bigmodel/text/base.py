"""The tokenizer's contract: two faces, Python and graph, with the same ids."""

from __future__ import annotations

import abc
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from keras_bigmodel.text.files import TokenizerFolder, write_files

if TYPE_CHECKING:
    import tensorflow as tf

CONFIG_NAME = "tokenizer_config.json"
CLASS_KEY = "keras_bigmodel_class"
ROLES = {"pad_id": "pad_token", "start_id": "bos_token", "end_id": "eos_token"}


class Tokenizer(abc.ABC):
    """Text to ids and back, in Python and inside a TensorFlow graph.

    `encode` and `decode` work on Python lists. Calling the tokenizer, and
    `detokenize`, work on TensorFlow tensors with core ops and constants only,
    so a SavedModel carries them without any table to initialise. Both faces
    give the same ids.

    A subclass sets `special_tokens`, `prefix_ids` and `suffix_ids` where it
    has them and overrides `vocabulary_size`, `_encode`, `_decode`,
    `_encode_in_graph`, `_decode_in_graph`, `_read` and `_write`.

    Args:
        special_tokens: content and id of the tokens that stand for no text.
        pad_id: id that fills short rows; None where there is none.
        start_id: id that starts a text; None where there is none.
        end_id: id that ends a text; None where there is none.
        prefix_ids: ids put before every text.
        suffix_ids: ids put after every text.
        chat_template: Jinja template for `apply_chat_template`.
    """

    # How `Tokenizer.load` finds the kind of a folder: the model's type inside
    # tokenizer.json, else sets of files which are all there.
    model_type: ClassVar[str | None] = None
    file_sets: ClassVar[tuple[tuple[str, ...], ...]] = ()
    kinds: ClassVar[dict[str, type[Tokenizer]]] = {}

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        Tokenizer.kinds[cls.__name__] = cls

    def __init__(
        self,
        special_tokens: dict[str, int] | None = None,
        *,
        pad_id: int | None = None,
        start_id: int | None = None,
        end_id: int | None = None,
        prefix_ids: Sequence[int] = (),
        suffix_ids: Sequence[int] = (),
        chat_template: str | None = None,
    ):
        self.special_tokens = dict(special_tokens or {})
        self.pad_id = pad_id
        self.start_id = start_id
        self.end_id = end_id
        self.prefix_ids = list(prefix_ids)
        self.suffix_ids = list(suffix_ids)
        self.chat_template = chat_template

    @property
    @abc.abstractmethod
    def vocabulary_size(self) -> int:
        """One more than the largest id."""

    # The Python face.

    def encode(
        self, texts: Sequence[str | bytes], add_special_tokens: bool = True
    ) -> list[list[int]]:
        """Return the ids of each text.

        Bytes that are not UTF-8 are read as U+FFFD, one for each maximal
        wrong part, except by `ByteTokenizer`, which keeps every byte.

        Args:
            texts: a list of texts, or of their UTF-8 bytes.
            add_special_tokens: whether to put `prefix_ids` before and
                `suffix_ids` after each text.

        Raises:
            ValueError: `texts` is not a list of texts.
        """
        texts = _as_list(texts, "texts", (str, bytes), "a list of texts")
        rows = self._encode(texts)
        if add_special_tokens and (self.prefix_ids or self.suffix_ids):
            rows = [self.prefix_ids + row + self.suffix_ids for row in rows]
        return rows

    def decode(
        self,
        token_ids: Iterable[Iterable[int]],
        skip_special_tokens: bool = True,
    ) -> list[str]:
        """Return the text of each row of ids.

        Args:
            token_ids: rows of ids.
            skip_special_tokens: whether special tokens are left out.

        Raises:
            ValueError: an id lies outside the vocabulary.
        """
        rows = [self._checked_row(row) for row in token_ids]
        if skip_special_tokens and self.special_tokens:
            special = set(self.special_tokens.values())
            rows = [[i for i in row if i not in special] for row in rows]
        return self._decode(rows)

    # The graph's face.

    def __call__(
        self, texts: tf.Tensor, add_special_tokens: bool = True
    ) -> tf.RaggedTensor:
        """Return the ids of each text, inside a TensorFlow graph.

        Args:
            texts: string tensor (batch,).
            add_special_tokens: as for `encode`.

        Raises:
            ValueError: `texts` is no vector of strings.
        """
        import tensorflow as tf

        texts = tf.convert_to_tensor(texts)
        if texts.dtype != tf.string and texts.shape == (0,):
            # An empty list has no type of its own.
            texts = tf.constant([], tf.string)
        if texts.dtype != tf.string or texts.shape.rank not in (None, 1):
            raise ValueError(
                "A tokenizer reads a vector of strings, of shape (batch,). "
                f"Received: texts={texts}"
            )
        # Strings live on the processor; their neighbours stay with them.
        with tf.name_scope(type(self).__name__), tf.device("CPU:0"):
            rows = self._encode_in_graph(tf.ensure_shape(texts, [None]))
            if not add_special_tokens:
                return rows
            parts = [rows]
            if self.prefix_ids:
                parts.insert(0, _repeat(self.prefix_ids, rows.nrows()))
            if self.suffix_ids:
                parts.append(_repeat(self.suffix_ids, rows.nrows()))
            return tf.concat(parts, axis=1) if len(parts) > 1 else rows

    def detokenize(
        self,
        token_ids: tf.RaggedTensor | tf.Tensor,
        skip_special_tokens: bool = True,
    ) -> tf.Tensor:
        """Return the text of each row of ids, inside a TensorFlow graph.

        The strings hold the tokens' raw bytes: where ids were cut inside a
        character they are not valid UTF-8, and `decode` shows U+FFFD.

        Args:
            token_ids: integers (batch, sequence), ragged or dense. An id
                outside the vocabulary is an InvalidArgumentError.
            skip_special_tokens: as for `decode`.

        Raises:
            ValueError: `token_ids` is no matrix.
        """
        import tensorflow as tf

        if not isinstance(token_ids, tf.RaggedTensor):
            token_ids = tf.convert_to_tensor(token_ids)
        if token_ids.shape.rank != 2 or not token_ids.dtype.is_integer:
            raise ValueError(
                "detokenize reads rows of ids, of shape (batch, sequence). "
                f"Received: token_ids={token_ids}"
            )
        with tf.name_scope(type(self).__name__), tf.device("CPU:0"):
            if not isinstance(token_ids, tf.RaggedTensor):
                token_ids = tf.RaggedTensor.from_tensor(token_ids)
            token_ids = tf.cast(token_ids, tf.int32)
            if skip_special_tokens and self.special_tokens:
                special = tf.constant(sorted(self.special_tokens.values()))
                flat = token_ids.flat_values[:, tf.newaxis]
                keep = tf.reduce_all(flat != special, axis=1)
                keep = token_ids.with_flat_values(keep)
                token_ids = tf.ragged.boolean_mask(token_ids, keep)
            return self._decode_in_graph(token_ids)

    def apply_chat_template(
        self,
        messages: Sequence[dict[str, Any]],
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """Return a conversation as the text its model was trained on.

        Encode it with `add_special_tokens=False`: the template writes the
        special tokens itself.

        Args:
            messages: dictionaries with "role" and "content".
            add_generation_prompt: whether to open the assistant's turn.
            **variables: further names the template may use.

        Raises:
            ValueError: there is no template, or the template refuses.
        """
        from keras_bigmodel.text.chat import render_chat

        tokens = {
            role: self._token_of(getattr(self, name))
            for name, role in ROLES.items()
        }
        return render_chat(
            self.chat_template,
            messages,
            add_generation_prompt=add_generation_prompt,
            **{**tokens, **variables},
        )

    # Files.

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Return the tokenizer kept in a folder, or in one file of it.

        `Tokenizer.load` finds the kind itself; a subclass's `load` refuses
        what is of another kind.

        Args:
            path: the folder, or a file such as tokenizer.json.

        Raises:
            ValueError: there is no tokenizer, or it is not supported.
        """
        folder = TokenizerFolder(path)
        config = folder.json(CONFIG_NAME) if CONFIG_NAME in folder else {}
        kind = _find_kind(folder, config)
        if not issubclass(kind, cls):
            raise ValueError(
                f"This is a {kind.__name__}, not a {cls.__name__}. Use "
                f"Tokenizer.load for any kind. Received: path={str(path)!r}"
            )
        try:
            return kind._read(folder, config)
        except RecursionError:
            raise ValueError(
                "The tokenizer's files nest their parts too deeply. "
                f"Received: path={str(path)!r}"
            ) from None

    def save(self, path: str | Path) -> Path:
        """Write the tokenizer's files into a folder and return the folder.

        Args:
            path: the folder; it is made where missing.

        Raises:
            ValueError: the path is a file.
        """
        config: dict[str, Any] = {CLASS_KEY: type(self).__name__}
        for name, role in ROLES.items():
            if getattr(self, name) is not None:
                config[role] = self._token_of(getattr(self, name))
        if self.chat_template is not None:
            config["chat_template"] = self.chat_template
        files = self._write()
        text = json.dumps(config, ensure_ascii=False, indent=2)
        return write_files(path, {**files, CONFIG_NAME: text})

    # What a kind provides.

    @abc.abstractmethod
    def _encode(self, texts: list[str | bytes]) -> list[list[int]]:
        """Return the ids of each text, without prefix and suffix."""

    @abc.abstractmethod
    def _decode(self, rows: list[list[int]]) -> list[str]:
        """Return the text of each row."""

    @abc.abstractmethod
    def _encode_in_graph(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Return int32 ids (batch, ragged) of strings (batch,)."""

    @abc.abstractmethod
    def _decode_in_graph(self, token_ids: tf.RaggedTensor) -> tf.Tensor:
        """Return strings (batch,) of int32 ids (batch, ragged)."""

    @classmethod
    @abc.abstractmethod
    def _read(
        cls, folder: TokenizerFolder, config: dict[str, Any]
    ) -> Tokenizer:
        """Return the tokenizer of a folder with this tokenizer_config."""

    @abc.abstractmethod
    def _write(self) -> dict[str, str | bytes]:
        """Return the kind's files, name and content."""

    # Small helpers.

    def _token_of(self, token_id: int | None) -> str | None:
        for token, other_id in self.special_tokens.items():
            if other_id == token_id:
                return token
        return None

    def _checked_row(self, row: Iterable[int]) -> list[int]:
        row = [int(i) for i in row]
        if row and not (0 <= min(row) and max(row) < self.vocabulary_size):
            wrong = [i for i in row if not 0 <= i < self.vocabulary_size]
            raise ValueError(
                "Ids must lie in the vocabulary, from 0 to "
                f"{self.vocabulary_size - 1}. Received: token_ids={wrong[:8]}"
            )
        return row


def as_text(text: str | bytes) -> str:
    """Return valid Unicode text; what is not UTF-8 becomes U+FFFD."""
    if isinstance(text, str):
        try:
            text.encode()
            return text
        except UnicodeEncodeError:
            # A lone surrogate has no UTF-8 form; its three bytes are wrong.
            text = text.encode("utf-8", "surrogatepass")
    return text.decode("utf-8", "replace")


def checked_texts(texts: Iterable[str | bytes]) -> list[str]:
    """Return the texts to train on, and refuse an empty list.

    Raises:
        ValueError: there is no text.
    """
    if isinstance(texts, (str, bytes)):
        texts = _as_list(texts, "texts", (str, bytes), "a list of texts")
    texts = [as_text(text) for text in texts]
    if not any(texts):
        raise ValueError(
            "Training a tokenizer needs at least one text that is not empty. "
            f"Received: texts={texts[:3]}"
        )
    return texts


def _as_list(values: Any, name: str, types: tuple, wanted: str) -> list:
    items = [] if isinstance(values, (str, bytes)) else list(values)
    if isinstance(values, (str, bytes)) or not all(
        isinstance(item, types) for item in items
    ):
        received = repr(values)[:200]
        raise ValueError(f"Pass {wanted}. Received: {name}={received}")
    return items


def _repeat(ids: list[int], num_rows: tf.Tensor) -> tf.RaggedTensor:
    import tensorflow as tf

    rows = tf.tile([ids], tf.stack([num_rows, 1]))
    return tf.RaggedTensor.from_tensor(tf.cast(rows, tf.int32))


def _find_kind(folder: TokenizerFolder, config: dict) -> type[Tokenizer]:
    name = config.get(CLASS_KEY)
    if name is not None:
        if not isinstance(name, str) or name not in Tokenizer.kinds:
            raise ValueError(
                f"{CONFIG_NAME} must name one of {sorted(Tokenizer.kinds)}. "
                f"Received: {CLASS_KEY}={name!r:.100}"
            )
        return Tokenizer.kinds[name]
    if "tokenizer.json" in folder:
        model = folder.json("tokenizer.json").get("model")
        model_type = model.get("type", "BPE") if isinstance(model, dict) else 0
        for kind in Tokenizer.kinds.values():
            if kind.model_type is not None and kind.model_type == model_type:
                return kind
        raise ValueError(
            "tokenizer.json holds a model of a type that is not supported. "
            f"Received: type={model_type!r:.100}"
        )
    for kind in Tokenizer.kinds.values():
        for names in kind.file_sets:
            if all(name in folder for name in names):
                return kind
    raise ValueError(
        "There is no tokenizer here: expected tokenizer.json, vocab.json with "
        "merges.txt, vocab.txt or spiece.model. "
        f"Received: path={str(folder.path)!r}"
    )
