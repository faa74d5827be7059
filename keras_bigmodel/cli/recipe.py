"""From text to a trained language model: sizes and the steps in order."""

import dataclasses

import keras

from keras_bigmodel import models
from keras_bigmodel.cli.corpus import Corpus, num_bytes
from keras_bigmodel.cli.training import Curves, train
from keras_bigmodel.text import (
    BytePairTokenizer,
    Tokenizer,
    language_model_dataset,
)

# A tokenizer learns no more from a larger sample.
_MAX_TOKENIZER_BYTES = 20_000_000


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Sizes of a language model, and how it is trained.

    The defaults suit some hundred thousand bytes of text and some minutes on
    two CPU cores: a small vocabulary, short windows and small batches give
    the many optimiser steps that this takes.

    Args:
        vocabulary_size: tokens of the byte-pair tokenizer.
        sequence_length: the context, in tokens.
        num_layers: blocks.
        num_heads: attention heads of a block.
        hidden_dim: features of the residual stream.
        batch_size: windows in a step.
        dropout: share dropped in training.
        learning_rate: the highest.
        seed: of the weights and of the order of the windows.
    """

    vocabulary_size: int = 1024
    sequence_length: int = 128
    num_layers: int = 4
    num_heads: int = 6
    hidden_dim: int = 192
    batch_size: int = 4
    dropout: float = 0.1
    learning_rate: float = 3e-3
    seed: int = 0

    def build_tokenizer(self, corpus: Corpus) -> Tokenizer:
        """Train a byte-pair tokenizer on the training documents."""
        sample, room = [], _MAX_TOKENIZER_BYTES
        for document in corpus.train:
            sample.append(document)
            room -= len(document)
            if room < 0:
                break
        return BytePairTokenizer.train(sample, self.vocabulary_size)

    def build_model(self, tokenizer: Tokenizer) -> keras.Model:
        """Build the decoder: rotary positions, RMS norms, gated networks."""
        keras.utils.set_random_seed(self.seed)
        return models.decoder_lm(
            tokenizer.vocabulary_size,
            self.sequence_length,
            self.num_layers,
            self.num_heads,
            self.hidden_dim,
            # Three matrices of this width cost as much as two of 4 times.
            intermediate_dim=round(self.hidden_dim * 8 / 3 / 32) * 32,
            normalization="rms",
            activation="silu",
            gated=True,
            use_bias=False,
            dropout=self.dropout,
        )

    def fit(
        self,
        model: keras.Model,
        tokenizer: Tokenizer,
        corpus: Corpus,
        *,
        minutes: float | None = None,
        steps: int | None = None,
        verbose: str | int = "auto",
    ) -> Curves:
        """Train the model on the corpus, for some minutes or steps."""
        windows = {"sequence_length": self.sequence_length}
        dataset = language_model_dataset(
            corpus.train,
            tokenizer,
            batch_size=self.batch_size,
            drop_remainder=True,
            shuffle=True,
            repeat=True,
            seed=self.seed,
            **windows,
        )
        validation = language_model_dataset(
            corpus.held_out,
            tokenizer,
            batch_size=self.batch_size,
            drop_remainder=True,
            **windows,
        )
        return train(
            model,
            dataset,
            validation,
            minutes=minutes,
            steps=steps,
            learning_rate=self.learning_rate,
            verbose=verbose,
        )


def tokens_per_byte(tokenizer: Tokenizer, documents: list[str]) -> float:
    """How many tokens a byte of text takes."""
    tokens = sum(len(ids) for ids in tokenizer.encode(documents))
    return tokens / num_bytes(documents)
