"""Rows of different lengths through a model that reads whole texts."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.signatures.padding import find_pad_id
from keras_bigmodel.export.signatures.room import check_room
from keras_bigmodel.generation.prompts import context_of


class WholeTexts:
    """Runs a model on texts as rows of ids, padded as the model wants it.

    A model without padding reads one row after the other, so that no row's
    answer depends on its neighbours' lengths.

    Args:
        model: From token ids, or `token_ids` and `segment_ids`.
        tokenizer: May name the id of padding.
        limits: Sizes that are answered.
    """

    def __init__(
        self, model: keras.Model, tokenizer: Any, limits: Limits
    ) -> None:
        self.model = model
        self._limits = limits
        self._context = context_of(model)
        self._takes_segments = isinstance(model.input, dict)
        self._pad_id = find_pad_id(model, self._call, tokenizer)

    def __call__(self, token_ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Returns the model's output for rows of ids.

        Args:
            token_ids: int32, (B, T).
            lengths: int32, (B,).
        """
        token_ids, lengths = check_room(
            token_ids,
            lengths,
            tf.zeros_like(lengths),
            self._limits,
            self._context,
        )
        if self._pad_id is not None:
            column = tf.range(tf.shape(token_ids)[1])[None]
            is_token = column < lengths[:, None]
            return self._call(tf.where(is_token, token_ids, self._pad_id))
        width = tf.shape(token_ids)[1]

        def one_row(row: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            output = self._call(row[0][None, : row[1]])[0]
            if output.shape.rank == 1:
                return output
            return tf.pad(output, [[0, width - row[1]], [0, 0]])

        spec = _first(self.model.output)
        return tf.map_fn(
            one_row,
            (token_ids, lengths),
            fn_output_signature=tf.TensorSpec(
                [None] * (len(spec.shape) - 2) + [spec.shape[-1]], spec.dtype
            ),
        )

    def in_memory(self, row: list[int]) -> Any:
        """Returns the model's output for one row, without batch.

        Args:
            row: Token ids.
        """
        return self._call(np.array([row], "int32"))[0]

    def _call(self, token_ids: Any) -> Any:
        inputs = token_ids = keras.ops.convert_to_tensor(token_ids)
        if self._takes_segments:
            zeros = keras.ops.zeros_like(token_ids)
            inputs = {"token_ids": token_ids, "segment_ids": zeros}
        return _first(self.model(inputs, training=False))


def _first(output: Any) -> Any:
    """Returns what counts of a model's output: hidden states, or all of it."""
    return output["hidden_states"] if isinstance(output, dict) else output
