"""Signatures of a language model: text in, its continuation out."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bigmodel.export.guards import Limits, after, check_ids, require
from keras_bigmodel.export.signatures.signature import Signature
from keras_bigmodel.export.signatures.text import TextDoor
from keras_bigmodel.generation import generate, samplers
from keras_bigmodel.generation.program import Program
from keras_bigmodel.generation.prompts import context_of

PROMPTS = {"prompts": tf.TensorSpec([None], tf.string)}
IDS = {
    "token_ids": tf.TensorSpec([None, None], tf.int32),
    "lengths": tf.TensorSpec([None], tf.int32),
}


class LanguageModel:
    """What a served language model offers.

    Args:
        model: From token ids to logits.
        tokenizer: One of `kbm.text`; None: signatures of ids alone.
        limits: Sizes that are answered.
        max_new_tokens: Tokens of an answer at most.
        examples: Prompts to prove and to warm up with.
    """

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Any,
        limits: Limits,
        max_new_tokens: int,
        examples: list[str],
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._door = tokenizer and TextDoor(tokenizer, limits)
        self._limits = limits
        self._max_new_tokens = max_new_tokens
        self._context = context_of(model)
        self._vocabulary_size = int(model.output_shape[-1])
        self._examples = examples
        self._greedy = Program(model, samplers.Greedy(), context=self._context)

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures by name."""
        if self._door is None:
            default = Signature(
                self._serve_ids, IDS, self._id_examples(), self._expect_ids
            )
        else:
            default = Signature(
                self._serve,
                PROMPTS,
                [{"prompts": self._examples}],
                self._expect,
            )
        return {"serving_default": default}

    def _serve(self, prompts: tf.Tensor) -> dict[str, tf.Tensor]:
        token_ids, lengths = self._door.read(prompts)
        tokens, counts, reason = self._run(token_ids, lengths)
        return {
            **self._door.write(tokens, counts),
            "num_tokens": counts,
            "finish_reason": reason,
        }

    def _serve_ids(
        self, token_ids: tf.Tensor, lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        token_ids, lengths = check_ids(
            token_ids, lengths, self._vocabulary_size
        )
        tokens, counts, reason = self._run(token_ids, lengths)
        return {
            "token_ids": tokens,
            "num_tokens": counts,
            "finish_reason": reason,
        }

    def _run(self, token_ids: tf.Tensor, lengths: tf.Tensor) -> tuple:
        """Returns tokens, how many of each row count, and why rows ended."""
        num_new = self._max_new_tokens
        token_ids, lengths = self._check_room(token_ids, lengths, num_new)
        batch = tf.shape(lengths)[0]
        made = self._greedy.run(
            token_ids,
            lengths,
            parameters={},
            seeds=tf.zeros([batch], tf.int32),
            stop_ids=tf.constant(self._stop_ids),
            limits=tf.fill([batch], num_new),
            num_steps=num_new,
            capacity=_capacity(token_ids, num_new),
        )
        tokens, counts = made["tokens"], made["counts"]
        last = tf.gather(tokens, tf.maximum(counts - 1, 0), batch_dims=1)
        stops = tf.reduce_any(
            last[:, None] == tf.constant(self._stop_ids)[None], axis=1
        )
        stopped = tf.logical_and(counts > 0, stops)
        counts -= tf.cast(stopped, tf.int32)
        is_made = tf.range(num_new)[None] < counts[:, None]
        tokens = tf.where(is_made, tokens, 0)
        reason = tf.where(stopped, "stop", "length")
        return tokens, counts, reason

    @property
    def _stop_ids(self) -> list[int]:
        end_id = getattr(self._tokenizer, "end_id", None)
        return [-1] if end_id is None else [end_id]

    def _check_room(
        self, token_ids: tf.Tensor, lengths: tf.Tensor, num_new: Any
    ) -> Any:
        """Returns rows that fit the context and the limits with new tokens."""
        longest = tf.reduce_max(lengths)
        total = (longest + num_new) * tf.shape(lengths)[0]
        checks = [
            require(
                total <= self._limits.batch_tokens,
                "A batch of ",
                tf.shape(lengths)[0],
                " rows of ",
                longest,
                " tokens and ",
                tf.convert_to_tensor(num_new),
                " new ones is more than the "
                f"{self._limits.batch_tokens} tokens that this model takes "
                "in all; send fewer rows",
            )
        ]
        if self._context is not None:
            fits = require(
                longest + num_new <= self._context,
                "A prompt of ",
                longest,
                " tokens and ",
                tf.convert_to_tensor(num_new),
                " new ones do not fit the context of this model, "
                f"{self._context} tokens; shorten the prompt",
            )
            checks.append(fits)
        return after(checks, token_ids, lengths)

    def _expect(self, example: dict[str, Any]) -> dict[str, Any]:
        made = self._generate(example["prompts"])
        return {
            "text": [row.text.encode() for row in made],
            "num_tokens": [len(row.token_ids) for row in made],
            "finish_reason": [row.finish_reason.encode() for row in made],
        }

    def _expect_ids(self, example: dict[str, Any]) -> dict[str, Any]:
        rows = zip(example["token_ids"], example["lengths"], strict=True)
        made = self._generate([row[:length].tolist() for row, length in rows])
        return {
            "token_ids": [
                row.token_ids
                + [0] * (self._max_new_tokens - len(row.token_ids))
                for row in made
            ],
            "num_tokens": [len(row.token_ids) for row in made],
            "finish_reason": [row.finish_reason.encode() for row in made],
        }

    def _generate(self, prompts: list[Any]) -> list[Any]:
        return generate(
            self._model,
            prompts,
            self._tokenizer,
            max_new_tokens=self._max_new_tokens,
            details=True,
        )

    def _id_examples(self) -> list[dict[str, np.ndarray]]:
        random = np.random.default_rng(0)
        width = (
            5
            if self._context is None
            else min(5, self._context - self._max_new_tokens)
        )
        return [
            {
                "token_ids": random.integers(
                    self._vocabulary_size, size=(2, width), dtype="int32"
                ),
                "lengths": np.array([width, 1], "int32"),
            }
        ]


def _capacity(token_ids: tf.Tensor, num_new: Any) -> tf.Tensor:
    """Returns the caches' slots, a multiple of 8 as in memory."""
    needed = tf.maximum(tf.shape(token_ids)[1] - 1 + num_new, 1)
    return -(-needed // 8) * 8
