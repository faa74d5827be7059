"""Signatures of a language model: text in, its continuation out."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bigmodel.export.guards import Limits, check_ids
from keras_bigmodel.export.signatures import streaming
from keras_bigmodel.export.signatures.decoding import Decoder
from keras_bigmodel.export.signatures.loop import ANY_HOST, Loop
from keras_bigmodel.export.signatures.options import (
    SAMPLING,
    check_options,
    greedy_options,
    option_specs,
)
from keras_bigmodel.export.signatures.padding import zero_padded
from keras_bigmodel.export.signatures.room import check_room
from keras_bigmodel.export.signatures.scoring import Score
from keras_bigmodel.export.signatures.signature import Signature
from keras_bigmodel.export.signatures.text import TextDoor
from keras_bigmodel.generation import generate, samplers
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
        max_new_tokens: Tokens of a default answer at most.
        examples: Prompts to prove and to warm up with.
        loop: How the decoding loop is compiled.

    Raises:
        ValueError: If the answer does not fit the model's context.
    """

    text_inputs = PROMPTS

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Any,
        limits: Limits,
        max_new_tokens: int,
        examples: list[str],
        loop: Loop = ANY_HOST,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.limits = limits
        self.max_new_tokens = max_new_tokens
        self.context = context_of(model)
        self.vocabulary_size = int(model.output_shape[-1])
        self.examples = examples
        self._loop = loop
        self._check()
        self.door = tokenizer and TextDoor(tokenizer, limits)
        end_id = getattr(tokenizer, "end_id", None)
        self.decoder = Decoder(
            lambda token_ids, context: model(token_ids, training=False),
            self.vocabulary_size,
            self.context,
            [] if end_id is None else [end_id],
            loop=loop,
        )

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures by name."""
        ids = Signature(
            self._generate_ids,
            {**IDS, **option_specs()},
            lambda: [{**self._id_example(), **self.option_example(2)}],
            self._expect_ids,
        )
        if self.door is None:
            default = Signature(
                self._serve_ids,
                IDS,
                lambda: [self._id_example()],
                self._expect_ids,
            )
            return {"serving_default": default, "generate_ids": ids}
        prompts = {"prompts": self.examples}
        return {
            "serving_default": Signature(
                self._serve, PROMPTS, lambda: [prompts], self.expect_texts
            ),
            "generate": Signature(
                self._generate,
                {**PROMPTS, **option_specs()},
                lambda: [self.stream_example()],
                self.expect_texts,
            ),
            "generate_ids": ids,
            "score": Score(self).signature(),
            **streaming.signatures(self),
        }

    def start(
        self,
        token_ids: tf.Tensor,
        lengths: tf.Tensor,
        options: dict[str, tf.Tensor],
    ) -> dict[str, Any]:
        """Reads prompts that fit, with the tokens asked for.

        Args:
            token_ids: int32, (B, T).
            lengths: int32, (B,).
            options: Those of `option_specs`, as they came.
        """
        batch = tf.shape(lengths)[0]
        options = check_options(options, batch, self.limits.new_tokens)
        token_ids, lengths = check_room(
            token_ids,
            lengths,
            options["max_new_tokens"],
            self.limits,
            self.context,
        )
        return self.decoder.start(token_ids, lengths, options)

    def begin(
        self, prompts: tf.Tensor, options: dict[str, tf.Tensor]
    ) -> dict[str, Any]:
        """Reads texts that fit, with the tokens asked for.

        Args:
            prompts: Strings, (B,).
            options: Those of `option_specs`, as they came.
        """
        return self.start(*self.door.read(prompts), options)

    def stream_example(self) -> dict[str, Any]:
        """Returns prompts with their options."""
        options = self.option_example(len(self.examples))
        return {"prompts": self.examples, **options}

    def _serve(self, prompts: tf.Tensor) -> dict[str, tf.Tensor]:
        options = greedy_options(tf.shape(prompts)[0], self.max_new_tokens)
        return self._generate(prompts, **options)

    def _serve_ids(
        self, token_ids: tf.Tensor, lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        options = greedy_options(tf.shape(lengths)[0], self.max_new_tokens)
        return self._generate_ids(token_ids, lengths, **options)

    def _generate(
        self, prompts: tf.Tensor, **options: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        state = self.begin(prompts, options)
        return self.door.answer(self.decoder.complete(state))

    def _generate_ids(
        self, token_ids: tf.Tensor, lengths: tf.Tensor, **options: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        rows = check_ids(token_ids, lengths, self.vocabulary_size)
        return self.decoder.complete(self.start(*rows, options))

    def _check(self) -> None:
        most = self.limits.new_tokens
        if self.context is not None:
            most = min(most, self.context - 1)
        valid = isinstance(self.max_new_tokens, int)
        if not valid or not 1 <= self.max_new_tokens <= most:
            raise ValueError(
                f"`max_new_tokens` must be from 1 to {most}: what the model's "
                "context leaves beside a prompt, and `limits.new_tokens` "
                f"allows. Received: max_new_tokens={self.max_new_tokens}"
            )

    def expect_texts(self, example: dict[str, Any]) -> dict[str, Any]:
        """Returns the answers to an example, generated in memory.

        Args:
            example: Prompts, and options or none.
        """
        made = self.generate_in_memory(example["prompts"], example)
        return {
            "text": [row.text.encode() for row in made],
            "num_tokens": [len(row.token_ids) for row in made],
            "finish_reason": [row.finish_reason.encode() for row in made],
        }

    def _expect_ids(self, example: dict[str, Any]) -> dict[str, Any]:
        rows = zip(example["token_ids"], example["lengths"], strict=True)
        made = self.generate_in_memory(
            [row[:length].tolist() for row, length in rows], example
        )
        rows = [row.token_ids for row in made]
        return {
            "token_ids": zero_padded(rows, self.max_new_tokens),
            "num_tokens": [len(row.token_ids) for row in made],
            "finish_reason": [row.finish_reason.encode() for row in made],
        }

    def generate_in_memory(
        self, prompts: list[Any], example: dict[str, Any]
    ) -> list[Any]:
        """Generates in Python what an example must give.

        Args:
            prompts: Texts or lists of ids.
            example: May hold options, which all its rows share.
        """
        options = {
            name: example[name].tolist()[0]
            for name in SAMPLING
            if name in example
        }
        temperature = options.get("temperature", 0)
        return generate(
            self.model,
            prompts,
            self.tokenizer,
            max_new_tokens=self.max_new_tokens,
            sampler=samplers.Sample(**options) if temperature else "greedy",
            seed=example.get("seed"),
            details=True,
            # As the graph does, whatever pays in memory.
            pack_weights=self._loop.pack_weights,
        )

    def option_example(self, batch: int) -> dict[str, np.ndarray]:
        """Returns options that turn every part of the sampling on.

        Args:
            batch: Number of rows.
        """
        values = {
            "max_new_tokens": self.max_new_tokens,
            "temperature": 0.7,
            "top_k": 20,
            "top_p": 0.9,
            "min_p": 0.01,
            "repetition_penalty": 1.1,
            "seed": 5,
        }
        return {
            name: np.full([batch], values[name], spec.dtype.as_numpy_dtype)
            for name, spec in option_specs().items()
        }

    def _id_example(self) -> dict[str, np.ndarray]:
        width = 5
        if self.context is not None:
            width = min(width, self.context - self.max_new_tokens)
        random = np.random.default_rng(0)
        shape = (2, width)
        return {
            "token_ids": random.integers(self.vocabulary_size, size=shape),
            "lengths": np.array([width, 1], "int32"),
        }
