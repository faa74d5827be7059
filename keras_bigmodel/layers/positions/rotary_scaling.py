"""How a rotary encoding stretches to texts longer than it was trained on.

Each scaling is a frozen part with two members: `frequencies`, radians per
position of each rotated pair, and `magnitude`, by which sines and cosines are
multiplied. Their fields are the options of `rope_scaling` in the config.json
of released models.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from keras import ops

Tensor = Any


def inverse_frequencies(base: float, rotary_dim: int) -> np.ndarray:
    """Returns the unscaled frequencies, `base ** (-2 i / rotary_dim)`."""
    return base ** -(np.arange(0, rotary_dim, 2) / rotary_dim)


@dataclasses.dataclass(frozen=True)
class NoScaling:
    """The encoding as it was published."""

    magnitude = 1.0

    def frequencies(
        self, base: float, rotary_dim: int, positions: Tensor
    ) -> Any:
        """Returns (rotary_dim / 2,) frequencies."""
        return inverse_frequencies(base, rotary_dim)


@dataclasses.dataclass(frozen=True)
class LinearScaling:
    """Position interpolation: every position is divided by `factor`."""

    factor: float

    magnitude = 1.0

    def frequencies(
        self, base: float, rotary_dim: int, positions: Tensor
    ) -> Any:
        """Returns (rotary_dim / 2,) frequencies."""
        return inverse_frequencies(base, rotary_dim) / self.factor


@dataclasses.dataclass(frozen=True)
class DynamicScaling:
    """Dynamic NTK: the base grows with the length of the text.

    Up to `original_max_position_embeddings` nothing changes.
    """

    factor: float
    original_max_position_embeddings: int

    magnitude = 1.0

    def frequencies(
        self, base: float, rotary_dim: int, positions: Tensor
    ) -> Any:
        """Returns (batch or 1, 1, rotary_dim / 2) frequencies, by row."""
        maximum = self.original_max_position_embeddings
        length = ops.max(positions, axis=-1, keepdims=True)[..., None] + 1
        length = ops.cast(ops.maximum(length, maximum), "float32")
        growth = self.factor * length / maximum - (self.factor - 1)
        # (base * growth ** (d / (d - 2))) ** (-2 i / d), factored so that
        # the constant part keeps float64's digits.
        exponents = np.arange(0, rotary_dim, 2) / max(rotary_dim - 2, 1)
        constant = inverse_frequencies(base, rotary_dim).astype("float32")
        return constant * growth ** -exponents.astype("float32")


@dataclasses.dataclass(frozen=True)
class Llama3Scaling:
    """Llama 3.1's: low frequencies are divided, high ones kept."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int

    magnitude = 1.0

    def __post_init__(self) -> None:
        if self.low_freq_factor >= self.high_freq_factor:
            raise ValueError(
                "`low_freq_factor` must be below `high_freq_factor`. Received: "
                f"low_freq_factor={self.low_freq_factor}, "
                f"high_freq_factor={self.high_freq_factor}"
            )

    def frequencies(
        self, base: float, rotary_dim: int, positions: Tensor
    ) -> Any:
        """Returns (rotary_dim / 2,) frequencies."""
        plain = inverse_frequencies(base, rotary_dim)
        turns = self.original_max_position_embeddings * plain / (2 * math.pi)
        kept = (turns - self.low_freq_factor) / (
            self.high_freq_factor - self.low_freq_factor
        )
        kept = np.clip(kept, 0, 1)
        return kept * plain + (1 - kept) * plain / self.factor


@dataclasses.dataclass(frozen=True)
class YarnScaling:
    """YaRN: interpolation by parts, and sharper attention."""

    factor: float
    original_max_position_embeddings: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool = True

    @property
    def magnitude(self) -> float:
        """What sines and cosines are multiplied by."""
        if self.attention_factor is not None:
            return self.attention_factor
        if self.mscale and self.mscale_all_dim:
            return self._scale(self.mscale) / self._scale(self.mscale_all_dim)
        return self._scale(1.0)

    def _scale(self, weight: float) -> float:
        return (
            0.1 * weight * math.log(self.factor) + 1 if self.factor > 1 else 1
        )

    def frequencies(
        self, base: float, rotary_dim: int, positions: Tensor
    ) -> Any:
        """Returns (rotary_dim / 2,) frequencies."""
        plain = inverse_frequencies(base, rotary_dim)
        maximum = self.original_max_position_embeddings

        def pair_turning(turns):
            period = maximum / (turns * 2 * math.pi)
            return rotary_dim * math.log(period) / (2 * math.log(base))

        low, high = pair_turning(self.beta_fast), pair_turning(self.beta_slow)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, rotary_dim - 1)
        if low == high:
            high += 0.001
        divided = (np.arange(rotary_dim // 2) - low) / (high - low)
        divided = np.clip(divided, 0, 1)
        return (1 - divided) * plain + divided * plain / self.factor


@dataclasses.dataclass(frozen=True)
class LongRopeScaling:
    """LongRoPE: a divisor of its own for each frequency.

    `short_factor` up to `original_max_position_embeddings`, `long_factor` in
    longer texts.
    """

    factor: float
    original_max_position_embeddings: int
    short_factor: tuple[float, ...]
    long_factor: tuple[float, ...]
    attention_factor: float | None = None

    def __post_init__(self) -> None:
        if self.original_max_position_embeddings < 2:
            raise ValueError(
                "`original_max_position_embeddings` must be at least 2. "
                "Received: original_max_position_embeddings="
                f"{self.original_max_position_embeddings}"
            )

    @property
    def magnitude(self) -> float:
        """What sines and cosines are multiplied by."""
        if self.attention_factor is not None:
            return self.attention_factor
        if self.factor <= 1:
            return 1.0
        maximum = self.original_max_position_embeddings
        return math.sqrt(1 + math.log(self.factor) / math.log(maximum))

    def frequencies(
        self, base: float, rotary_dim: int, positions: Tensor
    ) -> Any:
        """Returns (batch or 1, 1, rotary_dim / 2) frequencies, by row."""
        plain = inverse_frequencies(base, rotary_dim)
        both = (self.short_factor, self.long_factor)
        if any(len(factors) != len(plain) for factors in both):
            raise ValueError(
                f"`short_factor` and `long_factor` must have {len(plain)} "
                "entries, one for each pair that turns. Received: "
                f"lengths={[len(factors) for factors in both]}"
            )
        short, long = (
            np.asarray(plain / np.asarray(factors), "float32")
            for factors in both
        )
        last = ops.max(positions, axis=-1, keepdims=True)[..., None]
        is_long = last >= self.original_max_position_embeddings
        return ops.where(is_long, long, short)


SCALINGS = {
    "linear": LinearScaling,
    "dynamic": DynamicScaling,
    "llama3": Llama3Scaling,
    "longrope": LongRopeScaling,
    "yarn": YarnScaling,
}


def resolve(scaling: dict[str, Any] | None) -> Any:
    """Returns the part which the dict `scaling` describes.

    Raises:
        ValueError: if the type is unknown, an option is missing, not known, or
            not positive.
    """
    if scaling is None:
        return NoScaling()
    options = dict(scaling)
    kind = options.pop("type", None)
    if not isinstance(kind, str) or kind not in SCALINGS:
        raise ValueError(
            f"`scaling` needs a 'type' out of {sorted(SCALINGS)}. "
            f"Received: scaling={scaling}"
        )
    fields = dataclasses.fields(SCALINGS[kind])
    unknown = sorted(set(options) - {field.name for field in fields})
    missing = [
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.name not in options
    ]
    if unknown or missing:
        raise ValueError(
            f"`scaling` of type {kind!r} has unknown options {unknown} and "
            f"lacks {missing}. Received: scaling={scaling}"
        )
    # A frozen part can be looked up; a list could not.
    options = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
    }
    wrong = sorted(
        name
        for name, value in options.items()
        if not isinstance(value, bool)
        and value is not None
        and not all(
            isinstance(part, (int, float)) and part > 0
            for part in (value if isinstance(value, tuple) else [value])
        )
    )
    if wrong:
        raise ValueError(
            f"The options {wrong} of `scaling` must be positive. "
            f"Received: scaling={scaling}"
        )
    return SCALINGS[kind](**options)
