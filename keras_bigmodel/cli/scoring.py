"""How well a language model predicts text it has not seen."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import keras
from keras import ops

from keras_bigmodel.cli.corpus import num_bytes
from keras_bigmodel.text import Tokenizer, language_model_dataset


@dataclasses.dataclass(frozen=True)
class Score:
    """What predicting some text cost.

    Args:
        nats: the sum of -log p over all predicted tokens.
        tokens: how many tokens were predicted, those that end a document
            included.
        text_bytes: how many UTF-8 bytes the text has.
    """

    nats: float
    tokens: int
    text_bytes: int

    @property
    def bits_per_byte(self) -> float:
        """Bits to write one byte of text; comparable between tokenizers."""
        return self.nats / math.log(2) / self.text_bytes

    @property
    def perplexity(self) -> float:
        """Between how many tokens the model wavers, on average."""
        return math.exp(self.nats / self.tokens)


def score(
    model: keras.Model,
    tokenizer: Tokenizer,
    documents: Sequence[str],
    sequence_length: int,
    batch_size: int = 16,
    progress: Callable[[int, int | None], None] | None = None,
) -> Score:
    """Predict every token of the documents once, from what stands before it.

    Windows overlap by half, and only what is new in a window counts: no token
    but those at the very beginning is predicted from less than half a window.

    Args:
        model: token ids to logits.
        tokenizer: what the model was trained with.
        documents: the texts.
        sequence_length: tokens in a window.
        batch_size: windows at a time.
        progress: called after each batch, with how many there were and, at
            the end, how many there are in all.

    Raises:
        ValueError: the documents are shorter than one window.
    """
    dataset = language_model_dataset(
        list(documents),
        tokenizer,
        sequence_length,
        batch_size,
        overlap=sequence_length // 2,
    )
    nats, tokens, batches = 0.0, 0, 0
    for token_ids, next_ids, weights in dataset:
        logits = ops.cast(model(token_ids, training=False), "float32")
        losses = keras.losses.sparse_categorical_crossentropy(
            next_ids, logits, from_logits=True
        )
        nats += float(ops.sum(losses * weights))
        tokens += int(ops.sum(weights))
        batches += 1
        if progress is not None:
            progress(batches, None)
    if progress is not None:
        progress(batches, batches)
    return Score(nats, tokens, num_bytes(documents))
