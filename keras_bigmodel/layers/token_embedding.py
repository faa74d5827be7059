"""Token embedding, and the way back from hidden states to logits."""

import math
from typing import Any

import keras
from keras import ops

from keras_bigmodel.layers.decoding import DecodingScope, current_kernels
from keras_bigmodel.layers.projection import project

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class TokenEmbedding(keras.layers.Layer):
    """Looks up a vector for each token; reversed, scores all tokens.

    Forward, token i becomes `scale` times row i of a table E. With
    `reverse=True` the same table turns hidden states h into logits h E^T, so
    that input and output share their weights.

    Args:
        vocabulary_size: Number of tokens.
        hidden_dim: Features of a vector.
        pad_id: The id that marks padding; positions that hold it are masked.
            None: no padding.
        mask_zero: Keras's way to say `pad_id=0`.
        scale: Factor of the vectors; True: sqrt(hidden_dim), as in the
            Transformer's paper.
        logit_soft_cap: c in c tanh(logits / c) on the way back; None: no cap.
        max_sequence_length: The longest sequence the model is meant for; None:
            any. Generation reads it.
        embeddings_initializer: Of the table; default: normal with standard
            deviation 0.02.

    Call arguments:
        x: Token ids, or hidden states if `reverse`.
        reverse: Whether to turn hidden states into logits.

    Input shape:
        Integers, (batch, sequence); reversed: (batch, sequence, hidden_dim)

    Output shape:
        (batch, sequence, hidden_dim); reversed: (batch, sequence,
        vocabulary_size)

    Masking:
        Makes the mask `x != pad_id` where there is a `pad_id`; reversed,
        passes the mask on.

    Precision:
        The cap's tanh is float32.

    Raises:
        ValueError: If `pad_id` is not in the vocabulary, floating point
            numbers come as ids, or more than `max_sequence_length` of them.

    Example:
    ```python
    import numpy as np

    import keras_bigmodel as kbm

    embedding = kbm.layers.TokenEmbedding(100, 8)
    hidden = embedding(np.array([[5, 17, 33]]))
    embedding(hidden, reverse=True).shape  # (1, 3, 100)
    ```

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.4; Press &
        Wolf 2017, "Using the Output Embedding to Improve Language Models",
        section 3, for the shared table.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        pad_id: int | None = None,
        mask_zero: bool = False,
        scale: float | bool = False,
        logit_soft_cap: float | None = None,
        max_sequence_length: int | None = None,
        embeddings_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        # Ids must not become the compute dtype: bfloat16 ends at 256.
        super().__init__(autocast=False, **kwargs)
        if vocabulary_size < 1 or hidden_dim < 1:
            raise ValueError(
                "`vocabulary_size` and `hidden_dim` must be at least 1. "
                f"Received: vocabulary_size={vocabulary_size}, "
                f"hidden_dim={hidden_dim}"
            )
        if mask_zero and pad_id not in (None, 0):
            raise ValueError(
                "`mask_zero=True` says that padding is id 0. "
                f"Received: pad_id={pad_id}"
            )
        if mask_zero:
            pad_id = 0
        if pad_id is not None and not 0 <= pad_id < vocabulary_size:
            raise ValueError(
                "`pad_id` must be in the vocabulary, or None for no padding. "
                f"Received: pad_id={pad_id}, "
                f"vocabulary_size={vocabulary_size}"
            )
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.pad_id = pad_id
        self.mask_zero = mask_zero
        self.scale = scale
        self.logit_soft_cap = logit_soft_cap
        self.max_sequence_length = max_sequence_length
        self.embeddings_initializer = keras.initializers.get(
            embeddings_initializer or keras.initializers.RandomNormal(0.0, 0.02)
        )
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the table."""
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.vocabulary_size, self.hidden_dim),
            initializer=self.embeddings_initializer,
        )

    def call(self, x: Tensor, reverse: bool = False) -> Tensor:
        """Returns vectors of ids, or logits of hidden states."""
        return self._score(x) if reverse else self._look_up(x)

    def compute_mask(
        self, x: Tensor, previous_mask: Tensor | None = None
    ) -> Tensor | None:
        """Returns where ids are not padding; states keep their mask."""
        if not _are_ids(x):
            return previous_mask
        return None if self.pad_id is None else ops.not_equal(x, self.pad_id)

    def _look_up(self, token_ids: Tensor) -> Tensor:
        if not _are_ids(token_ids):
            raise ValueError(
                "Token ids must be integers; make the model's input with "
                '`dtype="int32"`. Hidden states need `reverse=True`. '
                f"Received: x.dtype={token_ids.dtype}"
            )
        length, limit = token_ids.shape[1], self.max_sequence_length
        if limit is not None and length is not None and length > limit:
            raise ValueError(
                f"A sequence of {length} tokens is longer than the model's "
                "context. Shorten it, or build the model with a larger "
                f"`max_sequence_length`. Received: max_sequence_length={limit}"
            )
        scope = DecodingScope.current()
        if scope is not None and self.pad_id is not None:
            scope.observe_padding(self.compute_mask(token_ids))
        x = ops.cast(
            self.rows(ops.cast(token_ids, "int32")), self.compute_dtype
        )
        if self.scale:
            factor = math.sqrt(self.hidden_dim)
            x = x * (factor if self.scale is True else self.scale)
        return x

    def _score(self, hidden: Tensor) -> Tensor:
        if len(hidden.shape) != 3 or hidden.shape[-1] != self.hidden_dim:
            raise ValueError(
                "Hidden states must be (batch, sequence, hidden_dim). "
                f"Received: x.shape={tuple(hidden.shape)}, "
                f"hidden_dim={self.hidden_dim}"
            )
        logits = self.products(ops.cast(hidden, self.compute_dtype))
        return soft_cap(logits, self.logit_soft_cap)

    def rows(self, token_ids: Tensor) -> Tensor:
        """Returns the table's rows; exports with 8-bit weights replace it."""
        return ops.take(self.embeddings, token_ids, axis=0)

    def products(self, hidden: Tensor) -> Tensor:
        """Returns hidden states times the table; replaced as `rows` is."""
        table = ops.cast(self.embeddings, self.compute_dtype)
        kernels = current_kernels()
        return project(lambda x: kernels.score_tokens(x, table), hidden)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.pop("autocast", None)
        return {
            **config,
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "pad_id": self.pad_id,
            "mask_zero": self.mask_zero,
            "scale": self.scale,
            "logit_soft_cap": self.logit_soft_cap,
            "max_sequence_length": self.max_sequence_length,
            "embeddings_initializer": keras.initializers.serialize(
                self.embeddings_initializer
            ),
        }

    def compute_output_spec(
        self, x: Tensor, reverse: bool = False
    ) -> keras.KerasTensor:
        """Returns x's shape with the other last axis."""
        shape = (*x.shape, self.hidden_dim)
        if reverse:
            shape = (*x.shape[:-1], self.vocabulary_size)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)


def soft_cap(logits: Tensor, cap: float | None) -> Tensor:
    """Returns c tanh(logits / c), computed in float32; None: as they are."""
    if cap is None:
        return logits
    capped = cap * ops.tanh(ops.cast(logits, "float32") / cap)
    return ops.cast(capped, logits.dtype)


def _are_ids(x: Tensor) -> bool:
    return "int" in keras.backend.standardize_dtype(x.dtype)
