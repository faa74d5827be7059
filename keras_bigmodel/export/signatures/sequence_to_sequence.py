"""Signatures of an encoder-decoder: a source text in, a target text out."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bigmodel.export.guards import Limits, after, check_ids, require
from keras_bigmodel.export.signatures import streaming
from keras_bigmodel.export.signatures.decoding import Decoder
from keras_bigmodel.export.signatures.loop import ANY_HOST, Loop
from keras_bigmodel.export.signatures.options import (
    check_options,
    greedy_options,
    option_specs,
)
from keras_bigmodel.export.signatures.padding import find_pad_id, zero_padded
from keras_bigmodel.export.signatures.room import check_room
from keras_bigmodel.export.signatures.scoring import PairScore
from keras_bigmodel.export.signatures.signature import Signature
from keras_bigmodel.export.signatures.text import TextDoor
from keras_bigmodel.generation.prompts import context_of
from keras_bigmodel.layers import encoder_and_decoder

SOURCES = {"source_texts": tf.TensorSpec([None], tf.string)}
SOURCE_IDS = {
    "source_ids": tf.TensorSpec([None, None], tf.int32),
    "lengths": tf.TensorSpec([None], tf.int32),
}


class SequenceToSequence:
    """What a served encoder-decoder offers.

    Args:
        model: From `source_ids` and `target_ids` to logits over targets.
        tokenizer: One of `kbm.text`, or a pair of them, for source and target.
        limits: Sizes that are answered.
        max_new_tokens: Tokens of a default answer at most.
        examples: Source texts to prove and to warm up with.
        loop: How the decoding loop is compiled.

    Raises:
        ValueError: If the target's tokenizer has no start token, or the
            answer does not fit the model's context.
    """

    text_inputs = SOURCES

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Any,
        limits: Limits,
        max_new_tokens: int,
        examples: list[str],
        loop: Loop = ANY_HOST,
    ) -> None:
        pair = isinstance(tokenizer, (tuple, list))
        source, target = tokenizer if pair else (tokenizer, tokenizer)
        self.model, self.limits = model, limits
        self.vocabulary_size = int(model.output_shape[-1])
        self._source, self._target = source, target
        self.start_id, self.end_id = target.start_id, target.end_id
        stop_ids = [] if self.end_id is None else [self.end_id]
        self.target_frame = [self.start_id], stop_ids
        self._max_new_tokens = max_new_tokens
        self._context = context_of(model)
        self._check()
        self.examples = examples
        self.door = TextDoor(target, limits)
        self._source_door = self.door
        if source is not target:
            self._source_door = TextDoor(source, limits)
        self._encoder, self._target_decoder = encoder_and_decoder(model)
        self._pad_id = find_pad_id(model, self._call, source)
        if self._pad_id is None:
            # Rows of different lengths cannot share a batch.
            self.examples = examples[:1]
        self.decoder = Decoder(
            self.step,
            self.vocabulary_size,
            self._context,
            stop_ids,
            {
                name: tf.TensorSpec(tensor.shape, tensor.dtype)
                for name, tensor in self._encoder.output.items()
            },
            loop=loop,
        )

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures by name."""
        return {
            "serving_default": Signature(
                self._serve,
                SOURCES,
                lambda: [{"source_texts": self.examples}],
                self.expect_texts,
            ),
            "generate": Signature(
                self._generate,
                {**SOURCES, **option_specs()},
                lambda: [self.stream_example()],
                self.expect_texts,
            ),
            "generate_ids": Signature(
                self._generate_ids,
                {**SOURCE_IDS, **option_specs()},
                lambda: [self._id_example()],
                self._expect_ids,
            ),
            "score": PairScore(self).signature(),
            **streaming.signatures(self),
        }

    def step(
        self, token_ids: tf.Tensor, context: dict[str, tf.Tensor]
    ) -> tf.Tensor:
        """Returns logits of target tokens, (B, T, V).

        Args:
            token_ids: int32, (B, T).
            context: What `read_sources` returned.
        """
        return self._target_decoder({"target_ids": token_ids, **context})

    def read_sources(
        self, source_texts: tf.Tensor, target_lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns what the encoder makes of sources, if all fits.

        Args:
            source_texts: Strings, (B,).
            target_lengths: Tokens of each row's target, int32 (B,).
        """
        rows = self._source_door.read(source_texts, "source_texts")
        same = require(
            tf.size(source_texts) == tf.size(target_lengths),
            "`source_texts` and `target_texts` must be equally many",
        )
        rows = after([same], *rows)
        none = tf.zeros_like(target_lengths)
        source_ids, _ = self._fitting(*rows, target_lengths, none)
        return self._encoder(source_ids)

    def source_rows(self, texts: list[str]) -> list[list[int]]:
        """Returns the ids of source texts, computed in Python."""
        rows = self._source.encode(texts)
        return [row or [self._source.start_id] for row in rows]

    def target_rows(self, texts: list[str]) -> list[list[int]]:
        """Returns the ids of targets from start to end token."""
        before, behind = self.target_frame
        rows = self._target.encode(texts, add_special_tokens=False)
        return [[*before, *row, *behind] for row in rows]

    def _call(self, source_ids: np.ndarray) -> Any:
        target_ids = np.array([[self.start_id]], "int32")
        inputs = {"source_ids": source_ids, "target_ids": target_ids}
        return self.model(inputs, training=False)

    def _serve(self, source_texts: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = tf.shape(source_texts)[0]
        options = greedy_options(batch, self._max_new_tokens)
        return self._generate(source_texts, **options)

    def begin(
        self, source_texts: tf.Tensor, options: dict[str, tf.Tensor]
    ) -> dict[str, Any]:
        """Reads sources that fit, with the tokens asked for.

        Args:
            source_texts: Strings, (B,).
            options: Those of `option_specs`, as they came.
        """
        rows = self._source_door.read(source_texts, "source_texts")
        return self._start(*rows, options)

    def _start(
        self,
        source_ids: tf.Tensor,
        lengths: tf.Tensor,
        options: dict[str, tf.Tensor],
    ) -> dict[str, Any]:
        batch = tf.shape(lengths)[0]
        options = check_options(options, batch, self.limits.new_tokens)
        source_ids, lengths = self._fitting(
            source_ids,
            lengths,
            tf.ones_like(lengths),
            options["max_new_tokens"],
        )
        return self.decoder.start(
            tf.fill([batch, 1], self.start_id),
            tf.ones_like(lengths),
            options,
            self._encoder(source_ids),
        )

    def _generate(
        self, source_texts: tf.Tensor, **options: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        state = self.begin(source_texts, options)
        return self.door.answer(self.decoder.complete(state))

    def _generate_ids(
        self, source_ids: tf.Tensor, lengths: tf.Tensor, **options: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        known = self._source.vocabulary_size
        rows = check_ids(source_ids, lengths, known, "source_ids")
        return self.decoder.complete(self._start(*rows, options))

    def _fitting(
        self,
        source_ids: tf.Tensor,
        lengths: tf.Tensor,
        target_lengths: tf.Tensor,
        num_new: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns sources that fit, padded as the model wants them."""
        none = tf.zeros_like(lengths)
        fit = check_room(source_ids, lengths, none, self.limits, self._context)
        _, ready = check_room(
            source_ids, target_lengths, num_new, self.limits, self._context
        )
        with tf.control_dependencies([ready]):
            source_ids, lengths = tf.identity(fit[0]), tf.identity(fit[1])
        width = tf.shape(source_ids)[1]
        if self._pad_id is None:
            same = require(
                tf.reduce_all(lengths == width),
                "This model knows no padding: send texts of equally many "
                "tokens, or one at a time",
            )
            return tuple(after([same], source_ids, lengths))
        is_token = tf.range(width)[None] < lengths[:, None]
        return tf.where(is_token, source_ids, self._pad_id), lengths

    def _check(self) -> None:
        if self.start_id is None:
            raise ValueError(
                "Targets begin with the tokenizer's start token, and it has "
                f"none. Received: tokenizer={self._target}"
            )
        most = self.limits.new_tokens
        if self._context is not None:
            most = min(most, self._context - 1)
        valid = isinstance(self._max_new_tokens, int)
        if not valid or not 1 <= self._max_new_tokens <= most:
            raise ValueError(
                f"`max_new_tokens` must be from 1 to {most}. "
                f"Received: max_new_tokens={self._max_new_tokens}"
            )

    def stream_example(self) -> dict[str, Any]:
        """Returns source texts with options that are greedy."""
        options = greedy_options(len(self.examples), self._max_new_tokens)
        arrays = {name: value.numpy() for name, value in options.items()}
        return {"source_texts": self.examples, **arrays}

    def expect_texts(self, example: dict[str, Any]) -> dict[str, Any]:
        """Returns greedy answers by whole passes, without any cache.

        Args:
            example: Source texts.
        """
        made = self._answers(self.source_rows(example["source_texts"]))
        texts = self._target.decode(made.pop("token_ids"))
        return {**made, "text": [text.encode() for text in texts]}

    def _expect_ids(self, example: dict[str, Any]) -> dict[str, Any]:
        rows = zip(example["source_ids"], example["lengths"], strict=True)
        made = self._answers([row[:length].tolist() for row, length in rows])
        token_ids = zero_padded(made["token_ids"], self._max_new_tokens)
        return {**made, "token_ids": token_ids}

    def _answers(self, sources: list[list[int]]) -> dict[str, Any]:
        """Returns greedy answers to rows of ids, a whole pass a token."""
        answers, reasons = [], []
        for source in sources:
            made = [self.start_id]
            while len(made) <= self._max_new_tokens:
                inputs = {
                    "source_ids": np.array([source], "int32"),
                    "target_ids": np.array([made], "int32"),
                }
                logits = self.model(inputs, training=False)
                made.append(int(np.argmax(logits[0, -1])))
                if made[-1] == self.end_id:
                    break
            stopped = made[-1] == self.end_id
            answers.append(made[1 : len(made) - stopped])
            reasons.append(b"stop" if stopped else b"length")
        return {
            "token_ids": answers,
            "num_tokens": [len(answer) for answer in answers],
            "finish_reason": reasons,
        }

    def _id_example(self) -> dict[str, Any]:
        rows = self.source_rows(self.examples)
        options = self.stream_example()
        del options["source_texts"]
        return {
            "source_ids": zero_padded(rows, max(map(len, rows))),
            "lengths": np.array([len(row) for row in rows], "int32"),
            **options,
        }
