"""Signatures of an encoder-decoder: a source text in, a target text out."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bigmodel.export.guards import Limits, after, require
from keras_bigmodel.export.signatures import streaming
from keras_bigmodel.export.signatures.decoding import Decoder
from keras_bigmodel.export.signatures.options import (
    check_options,
    greedy_options,
    option_specs,
)
from keras_bigmodel.export.signatures.padding import find_pad_id
from keras_bigmodel.export.signatures.room import check_room
from keras_bigmodel.export.signatures.signature import Signature
from keras_bigmodel.export.signatures.text import TextDoor
from keras_bigmodel.generation.prompts import context_of
from keras_bigmodel.layers import encoder_and_decoder

SOURCES = {"source_texts": tf.TensorSpec([None], tf.string)}


class SequenceToSequence:
    """What a served encoder-decoder offers.

    Args:
        model: From `source_ids` and `target_ids` to logits over targets.
        tokenizer: One of `kbm.text`, or a pair of them, for source and target.
        limits: Sizes that are answered.
        max_new_tokens: Tokens of a default answer at most.
        examples: Source texts to prove and to warm up with.

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
    ) -> None:
        pair = isinstance(tokenizer, (tuple, list))
        source, target = tokenizer if pair else (tokenizer, tokenizer)
        self._model, self.limits = model, limits
        self._source, self._target = source, target
        self._max_new_tokens = max_new_tokens
        self._context = context_of(model)
        self._check()
        self._examples = examples
        self._source_door = TextDoor(source, limits)
        self.door = TextDoor(target, limits)
        self._encoder, self._target_decoder = encoder_and_decoder(model)
        self._pad_id = find_pad_id(model, self._call, source)
        if self._pad_id is None:
            # Rows of different lengths cannot share a batch.
            self._examples = examples[:1]
        self.decoder = Decoder(
            lambda ids, context: self._target_decoder(
                {"target_ids": ids, **context}
            ),
            int(model.output_shape[-1]),
            self._context,
            [] if target.end_id is None else [target.end_id],
            {
                name: tf.TensorSpec(tensor.shape, tensor.dtype)
                for name, tensor in self._encoder.output.items()
            },
        )

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures by name."""
        return {
            "serving_default": Signature(
                self._serve,
                SOURCES,
                lambda: [{"source_texts": self._examples}],
                self.expect_texts,
            ),
            "generate": Signature(
                self._generate,
                {**SOURCES, **option_specs()},
                lambda: [self.stream_example()],
                self.expect_texts,
            ),
            **streaming.signatures(self),
        }

    def _call(self, source_ids: np.ndarray) -> Any:
        target_ids = np.array([[self._target.start_id]], "int32")
        inputs = {"source_ids": source_ids, "target_ids": target_ids}
        return self._model(inputs, training=False)

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
        source_ids, lengths = self._source_door.read(
            source_texts, "source_texts"
        )
        batch = tf.shape(lengths)[0]
        options = check_options(options, batch, self.limits.new_tokens)
        source_ids, lengths = self._checked(source_ids, lengths, options)
        target_ids = tf.fill([batch, 1], self._target.start_id)
        return self.decoder.start(
            target_ids,
            tf.ones_like(lengths),
            options,
            self._encoder(source_ids),
        )

    def _generate(
        self, source_texts: tf.Tensor, **options: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        state = self.begin(source_texts, options)
        num_new = tf.reduce_max(state["options"]["max_new_tokens"])
        _, made = self.decoder.advance(state, num_new)
        return {
            **self.door.write(made["token_ids"], made["num_tokens"]),
            "num_tokens": made["num_tokens"],
            "finish_reason": tf.where(made["is_stopped"], "stop", "length"),
        }

    def _checked(
        self,
        source_ids: tf.Tensor,
        lengths: tf.Tensor,
        options: dict[str, tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns sources that fit, padded as the model wants them."""
        none, start = tf.zeros_like(lengths), tf.ones_like(lengths)
        fit = check_room(source_ids, lengths, none, self.limits, self._context)
        _, ready = check_room(
            source_ids,
            start,
            options["max_new_tokens"],
            self.limits,
            self._context,
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
        if self._target.start_id is None:
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
        options = greedy_options(len(self._examples), self._max_new_tokens)
        arrays = {name: value.numpy() for name, value in options.items()}
        return {"source_texts": self._examples, **arrays}

    def expect_texts(self, example: dict[str, Any]) -> dict[str, Any]:
        """Returns greedy answers by whole passes, without any cache.

        Args:
            example: Source texts.
        """
        texts, counts, reasons = [], [], []
        for row in self._source.encode(example["source_texts"]):
            source_ids = np.array([row or [self._source.start_id]], "int32")
            made = [self._target.start_id]
            while len(made) <= self._max_new_tokens:
                inputs = {
                    "source_ids": source_ids,
                    "target_ids": np.array([made], "int32"),
                }
                logits = self._model(inputs, training=False)
                made.append(int(np.argmax(logits[0, -1])))
                if made[-1] == self._target.end_id:
                    break
            stopped = made[-1] == self._target.end_id
            made = made[1 : len(made) - stopped]
            texts.append(self._target.decode([made])[0].encode())
            counts.append(len(made))
            reasons.append(b"stop" if stopped else b"length")
        return {"text": texts, "num_tokens": counts, "finish_reason": reasons}
