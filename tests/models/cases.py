"""Each builder at its smallest, with a task that it learns in seconds."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_bigmodel import losses, models

TOKENS = 13
PAD = 0


@dataclasses.dataclass(frozen=True)
class ModelCase:
    """A builder under test.

    Args:
        name: Of the case.
        build: From options, such as `dtype`, to the model.
        data: From a generator and a number of rows to inputs and labels.
        output_shape: Of a row, for rows of `data`.
        loss: What the task is trained with.
        steps: Training steps that suffice for the task.
        optimizer: Name and learning rate to train it with.
        generates: "lm", "seq2seq" or None.
        variant: Whether another case is of the same builder, and this one is
            left out of what takes long.
    """

    name: str
    build: Callable[..., keras.Model]
    data: Callable[..., tuple[Any, np.ndarray]]
    output_shape: tuple[int, ...]
    loss: Any = "tokens"
    steps: int = 60
    optimizer: tuple[str, float] = ("lion", 0.003)
    generates: str | None = None
    variant: bool = False

    def compiled(
        self, model: keras.Model, optimizer: Any = "sgd", **options: Any
    ) -> keras.Model:
        """Compiles a model for the case's task."""
        loss = self.loss
        if loss == "tokens":
            loss = losses.TokenCrossentropy(ignored_label=-100)
        model.compile(optimizer, loss, **options)
        return model

    def chance(self, labels: np.ndarray) -> float:
        """Returns what it costs to know nothing of the inputs."""
        if self.loss == "mse":
            return labels.var()
        return np.log(self.output_shape[-1])

    def rows(self, count: int, seed: int = 0) -> tuple[Any, np.ndarray]:
        """Returns inputs and labels."""
        return self.data(np.random.default_rng(seed), count)


def next_tokens(rng, count, length=7):
    """Each token is its predecessor plus three."""
    start = rng.integers(0, TOKENS, (count, 1))
    tokens = (start + 3 * np.arange(length + 1)) % TOKENS
    return tokens[:, :-1].astype("int32"), tokens[:, 1:].astype("int32")


def padded_tokens(rng, count, length=7):
    """Random tokens, some rows padded."""
    tokens = rng.integers(3, TOKENS, (count, length))
    ends = rng.integers(length // 2, length + 1, (count, 1))
    return np.where(np.arange(length) < ends, tokens, PAD).astype("int32")


def token_classes(rng, count):
    """Whether a token is one of the larger ones; padding does not count."""
    tokens = padded_tokens(rng, count)
    return tokens, np.where(tokens == PAD, -100, tokens % 3)


def same_tokens(rng, count):
    """The token itself; padding does not count."""
    tokens = padded_tokens(rng, count)
    return tokens, np.where(tokens == PAD, -100, tokens)


def text_classes(rng, count):
    """What the first token says, of texts in two segments."""
    tokens = padded_tokens(rng, count)
    segments = np.tile(np.arange(7) // 4, (count, 1)).astype("int32")
    inputs = {"token_ids": tokens, "segment_ids": segments}
    return inputs, (tokens[:, 0] % 3).astype("int32")


def spans(rng, count):
    """The answer lies between token 1 and token 2."""
    tokens = rng.integers(3, TOKENS, (count, 7))
    start, end = rng.integers(0, 3, count), rng.integers(3, 6, count)
    tokens[np.arange(count), start] = 1
    tokens[np.arange(count), end] = 2
    tokens[:, 6] = PAD
    return tokens.astype("int32"), np.stack([start, end], 1).astype("int32")


def answers(rng, count):
    """The whole target repeats what stands last in the source."""
    source = padded_tokens(rng, count, 5)
    last = source[np.arange(count), (source != PAD).sum(1) - 1]
    labels = np.tile(last[:, None], (1, 3))
    target = np.concatenate([np.ones((count, 1)), labels[:, :-1]], 1)
    inputs = {"source_ids": source, "target_ids": target.astype("int32")}
    return inputs, labels


def sums(rng, count):
    """The mean of all features."""
    x = rng.normal(size=(count, 5, 3)).astype("float32")
    return x, x.mean(axis=(1, 2))[:, None]


def bright_quarters(rng, count):
    """Which quarter of the image is bright."""
    images = rng.integers(0, 100, (count, 8, 8, 3))
    quarter = rng.integers(0, 4, count)
    for image, place in zip(images, quarter, strict=True):
        row, column = 4 * (place // 2), 4 * (place % 2)
        image[row : row + 4, column : column + 4] += 155
    return images.astype("uint8"), quarter.astype("int32")


def _decoder_lm(**options):
    return models.decoder_lm(
        TOKENS, 17, 1, 2, 16, 24, position_encoding="learned", **options
    )


def _llama(**options):
    return models.decoder_lm(
        TOKENS,
        17,
        1,
        4,
        16,
        24,
        num_key_value_heads=2,
        normalization="rms",
        gated=True,
        activation="silu",
        use_bias=False,
        tie_embeddings=False,
        sliding_window=5,
        **options,
    )


def _trunk(dtype=None, **options):
    return models.encoder(
        TOKENS, 17, 1, 2, 16, 24, pad_id=PAD, dtype=dtype, **options
    )


def _masked_lm(**options):
    return models.masked_lm(_trunk(**options))


def _text_classifier(**options):
    trunk = _trunk(
        num_segments=2,
        pooler=True,
        embedding_dim=8,
        position_encoding="learned",
        normalize_first=False,
        normalize_embeddings=True,
        **options,
    )
    return models.text_classifier(trunk, 3)


def _token_classifier(**options):
    return models.token_classifier(_trunk(**options), 3)


def _span_classifier(**options):
    return models.span_classifier(_trunk(position_encoding=None, **options))


def _encoder_decoder(**options):
    return models.encoder_decoder(
        TOKENS, TOKENS + 1, 17, 1, 2, 16, 24, pad_id=PAD, **options
    )


def _t5(**options):
    return models.encoder_decoder(
        TOKENS,
        TOKENS,
        17,
        1,
        2,
        16,
        24,
        share_embeddings=True,
        position_encoding="relative",
        normalization="rms",
        use_bias=False,
        output_bias=True,
        pad_id=PAD,
        **options,
    )


def _gru(attention=False, **options):
    return models.gru_seq2seq(
        TOKENS, TOKENS + 1, 1, 16, 8, attention, pad_id=PAD, **options
    )


def _gru_attention(**options):
    return _gru(attention=True, **options)


def _lstm_lm(**options):
    return models.lstm_lm(TOKENS, 1, 16, 8, **options)


def _lstm_regressor(**options):
    return models.lstm_regressor(3, 1, 1, 16, bidirectional=True, **options)


def _cnn(**options):
    return models.cnn_classifier((8, 8, 3), 4, (4, 8), 16, **options)


def _residual_inception(**options):
    return models.cnn_classifier(
        (8, 8, 3),
        4,
        (4, 8),
        0,
        kernel_size=(1, 3),
        residual=True,
        normalization="layer",
        **options,
    )


def _vit(**options):
    return models.vit_classifier((8, 8, 3), 4, 4, 1, 2, 16, 24, **options)


def _vit_mean(**options):
    return _vit(pooling="mean", **options)


CASES = [
    ModelCase("decoder_lm", _llama, next_tokens, (7, TOKENS), generates="lm"),
    ModelCase("masked_lm", _masked_lm, same_tokens, (7, TOKENS)),
    ModelCase("text_classifier", _text_classifier, text_classes, (3,)),
    ModelCase("token_classifier", _token_classifier, token_classes, (7, 3)),
    ModelCase("span_classifier", _span_classifier, spans, (2, 7)),
    ModelCase(
        "encoder_decoder",
        _encoder_decoder,
        answers,
        (3, TOKENS + 1),
        generates="seq2seq",
        steps=120,
    ),
    ModelCase(
        "gru_seq2seq",
        _gru_attention,
        answers,
        (3, TOKENS + 1),
        generates="seq2seq",
        optimizer=("adam", 0.03),
    ),
    ModelCase(
        "lstm_lm",
        _lstm_lm,
        next_tokens,
        (7, TOKENS),
        generates="lm",
        optimizer=("lion", 0.01),
    ),
    ModelCase("lstm_regressor", _lstm_regressor, sums, (1,), loss="mse"),
    ModelCase("cnn_classifier", _cnn, bright_quarters, (4,)),
    ModelCase(
        "vit_classifier",
        _vit,
        bright_quarters,
        (4,),
        steps=400,
        optimizer=("adam", 0.005),
    ),
    ModelCase(
        "gpt2",
        _decoder_lm,
        next_tokens,
        (7, TOKENS),
        generates="lm",
        variant=True,
    ),
    ModelCase(
        "t5",
        _t5,
        answers,
        (3, TOKENS),
        generates="seq2seq",
        variant=True,
    ),
    ModelCase(
        "gru_without_attention",
        _gru,
        answers,
        (3, TOKENS + 1),
        generates="seq2seq",
        variant=True,
    ),
    ModelCase(
        "residual_inception",
        _residual_inception,
        bright_quarters,
        (4,),
        variant=True,
    ),
    ModelCase("vit_mean", _vit_mean, bright_quarters, (4,), variant=True),
]
