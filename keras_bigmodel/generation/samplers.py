"""Samplers: how the next token is chosen, as plain frozen descriptions."""

import dataclasses
import math
import numbers
from typing import Any

import keras
from keras import ops

from keras_bigmodel.generation import thresholds

Tensor = Any


@dataclasses.dataclass(frozen=True)
class Greedy:
    """Takes the most probable token, the first one among equals.

    Example:
        >>> kbm.samplers.Greedy()
        Greedy()
    """

    def kind(self) -> tuple:
        """Returns what the compiled program depends on."""
        return ("greedy",)

    def parameters(self) -> dict[str, float]:
        """Returns what may differ between the rows of a batch: nothing."""
        return {}

    def pick(
        self, logits: Tensor, uniforms: Tensor, parameters: dict[str, Tensor]
    ) -> Tensor:
        """Returns the chosen ids, int32 (B,), for logits (B, V)."""
        # Keras's argmax first tells -0 from 0, which takes twice the time.
        _, best = ops.top_k(logits, 1)
        return ops.cast(best[:, 0], "int32")


@dataclasses.dataclass(frozen=True)
class Sample:
    """Draws the next token at random, from a distribution made narrower.

    Penalties act on the logits first, then the temperature, then `top_k`,
    `top_p` and `min_p`, each on what the one before left.

    Args:
        temperature: Divides the logits; below 1 sharpens, above 1 flattens.
        top_k: Keeps the k most probable tokens; 0: all.
        top_p: Keeps the most probable tokens that together reach p; 1: all.
        min_p: Keeps tokens at least this share as probable as the first; 0:
            all.
        repetition_penalty: Divides positive and multiplies negative logits of
            tokens that occurred, prompt included; 1: none.
        presence_penalty: Subtracted from logits of tokens generated before.
        frequency_penalty: Subtracted as often as they were generated.

    Raises:
        ValueError: If a number is not in its range.

    Example:
        >>> kbm.samplers.Sample(temperature=0.8, top_p=0.95).temperature
        0.8

    References:
        Fan et al. 2018, "Hierarchical Neural Story Generation", section 5.4
        (top-k); Holtzman et al. 2020, "The Curious Case of Neural Text
        Degeneration", section 3.1 (top-p); Nguyen et al. 2024, "Min-p
        Sampling", section 3; Keskar et al. 2019, "CTRL", section 4.1
        (repetition penalty).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0

    def __post_init__(self) -> None:
        _check_numbers(self)
        checks = {
            "temperature": (self.temperature > 0, "positive"),
            "top_k": (
                isinstance(self.top_k, int) and self.top_k >= 0,
                "a whole number, 0 or more",
            ),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "min_p": (0 <= self.min_p <= 1, "from 0 to 1"),
            "repetition_penalty": (self.repetition_penalty > 0, "positive"),
            "presence_penalty": (
                math.isfinite(self.presence_penalty),
                "finite",
            ),
            "frequency_penalty": (
                math.isfinite(self.frequency_penalty),
                "finite",
            ),
        }
        for name, (valid, range_) in checks.items():
            value = getattr(self, name)
            if not valid or not math.isfinite(value):
                hint = ""
                if name == "temperature" and value == 0:
                    hint = ' For temperature 0 use sampler="greedy".'
                raise ValueError(
                    f"`{name}` must be {range_}.{hint} Received: {name}={value}"
                )

    @property
    def has_penalties(self) -> bool:
        """Whether any penalty is on."""
        return self.penalties() != Sample().penalties()

    def kind(self) -> tuple:
        """Returns what the compiled program depends on: what is on at all."""
        on = (self.top_k > 0, self.top_p < 1, self.min_p > 0)
        return ("sample", *on)

    def penalties(self) -> dict[str, float]:
        """Returns the penalties, which may differ between rows."""
        return {
            "repetition_penalty": float(self.repetition_penalty),
            "presence_penalty": float(self.presence_penalty),
            "frequency_penalty": float(self.frequency_penalty),
        }

    def parameters(self) -> dict[str, float]:
        """Returns what may differ between the rows of a batch."""
        return {
            "temperature": float(self.temperature),
            "top_k": int(self.top_k),
            "top_p": float(self.top_p),
            "min_p": float(self.min_p),
        }

    def pick(
        self, logits: Tensor, uniforms: Tensor, parameters: dict[str, Tensor]
    ) -> Tensor:
        """Returns the chosen ids, int32 (B,), for logits (B, V).

        Args:
            logits: float32, (B, V).
            uniforms: One random number in [0, 1) for each row, (B,).
            parameters: Those of `parameters`, (B,) each.
        """
        probabilities = self.distribution(logits, parameters)
        return draw(probabilities, uniforms)

    def distribution(
        self, logits: Tensor, parameters: dict[str, Tensor]
    ) -> Tensor:
        """Returns the distribution tokens are drawn from, (B, V)."""
        logits = logits / parameters["temperature"][:, None]
        probabilities = ops.softmax(logits, axis=-1)
        if self.top_k:
            threshold = thresholds.top_k_threshold(
                probabilities, parameters["top_k"]
            )
            probabilities = _keep(probabilities, threshold)
        if self.top_p < 1:
            threshold = thresholds.top_p_threshold(
                probabilities, parameters["top_p"]
            )
            probabilities = _keep(probabilities, threshold)
        if self.min_p:
            most = ops.max(probabilities, axis=-1, keepdims=True)
            threshold = parameters["min_p"][:, None] * most
            probabilities = _keep(probabilities, threshold)
        return probabilities


@dataclasses.dataclass(frozen=True)
class Beam:
    """Searches for the most probable answer instead of drawing one.

    Args:
        num_beams: Unfinished answers kept side by side; 1 is greedy.
        length_penalty: p in log-probability / length ** p, by which answers
            are compared: 0 favours short ones, more favours long ones.
        num_answers: Answers to return, the best ones; more than 1 returns a
            list for each prompt.

    Raises:
        ValueError: If a number is not in its range.

    Example:
        >>> kbm.samplers.Beam(num_beams=4).length_penalty
        1.0

    References:
        Sutskever et al. 2014, "Sequence to Sequence Learning", section 3.2.
    """

    num_beams: int = 4
    length_penalty: float = 1.0
    num_answers: int = 1

    def __post_init__(self) -> None:
        _check_count("num_beams", self.num_beams)
        _check_count("num_answers", self.num_answers)
        if self.num_answers > self.num_beams:
            raise ValueError(
                "`num_answers` can be at most `num_beams`. Received: "
                f"num_answers={self.num_answers}, num_beams={self.num_beams}"
            )
        if not math.isfinite(self.length_penalty):
            raise ValueError(
                "`length_penalty` must be finite. "
                f"Received: length_penalty={self.length_penalty}"
            )

    def kind(self) -> tuple:
        """Returns what the compiled program depends on."""
        return ("beam", self.num_beams, float(self.length_penalty))

    def parameters(self) -> dict[str, float]:
        """Returns what may differ between the rows of a batch: nothing."""
        return {}


@dataclasses.dataclass(frozen=True)
class PromptLookup:
    """Guesses that text repeats itself, and checks several tokens a step.

    The answer is exactly that of `sampler` alone; text that repeats parts of
    its prompt, such as code, comes faster.

    Args:
        sampler: "greedy", "sample", `Greedy` or `Sample` without penalties.
        num_guesses: Tokens guessed a step.
        longest_match: Newest tokens looked for in what stands before.

    Raises:
        ValueError: If a number is not positive or the sampler cannot be used.

    Example:
        >>> kbm.samplers.PromptLookup().num_guesses
        5

    References:
        Saxena 2023, "Prompt Lookup Decoding".
    """

    sampler: Any = "greedy"
    num_guesses: int = 5
    longest_match: int = 3

    def __post_init__(self) -> None:
        _check_count("num_guesses", self.num_guesses)
        _check_count("longest_match", self.longest_match)
        object.__setattr__(self, "sampler", _plain(self.sampler))

    def kind(self) -> tuple:
        """Returns what the compiled program depends on."""
        sizes = (self.num_guesses, self.longest_match)
        return ("prompt lookup", *sizes, self.sampler.kind())

    def parameters(self) -> dict[str, float]:
        """Returns what may differ between the rows of a batch."""
        return self.sampler.parameters()


@dataclasses.dataclass(frozen=True)
class Speculative:
    """Has a small model guess, and checks several tokens a step.

    The answer is exactly that of `sampler` alone.

    Args:
        draft_model: A small language model with the same vocabulary.
        sampler: "greedy", "sample", `Greedy` or `Sample` without penalties.
        num_guesses: Tokens guessed a step.

    Raises:
        ValueError: If a number is not positive or the sampler cannot be used.

    Example:
        >>> draft = kbm.models.decoder_lm(100, 32, 1, 1, 8)
        >>> kbm.samplers.Speculative(draft).num_guesses
        4

    References:
        Leviathan et al. 2023, "Fast Inference from Transformers via
        Speculative Decoding", section 2.
    """

    draft_model: Any
    sampler: Any = "greedy"
    num_guesses: int = 4

    def __post_init__(self) -> None:
        _check_count("num_guesses", self.num_guesses)
        if not isinstance(self.draft_model, keras.Model):
            raise ValueError(
                "`draft_model` must be a Keras model. "
                f"Received: draft_model={self.draft_model!r}"
            )
        object.__setattr__(self, "sampler", _plain(self.sampler))

    def kind(self) -> tuple:
        """Returns what the compiled program depends on."""
        guesser = (id(self.draft_model), self.num_guesses)
        return ("speculative", *guesser, self.sampler.kind())

    def parameters(self) -> dict[str, float]:
        """Returns what may differ between the rows of a batch."""
        return self.sampler.parameters()


def draw(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """Draws a token of each row by the inverse of the cumulative sum.

    Args:
        probabilities: float32, (B, V), sum 1 but for rounding.
        uniforms: float32, (B,), in [0, 1).

    Returns:
        int32, (B,).
    """
    cumulative = ops.cumsum(probabilities, axis=-1)
    total = cumulative[:, -1:]
    below = cumulative <= uniforms[:, None] * total
    # Rounding must not lead past the last token that has a probability.
    below = ops.logical_and(below, cumulative < total)
    return ops.sum(ops.cast(below, "int32"), axis=-1)


def _keep(probabilities: Tensor, threshold: Tensor) -> Tensor:
    kept = ops.where(probabilities >= threshold, probabilities, 0.0)
    return kept / ops.sum(kept, axis=-1, keepdims=True)


def _check_numbers(sampler: Any) -> None:
    for name, value in vars(sampler).items():
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError(
                f"`{name}` must be a number. Received: {name}={value!r}"
            )


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={value}"
        )


def _plain(sampler: Any) -> Any:
    """Returns a sampler that picks each token from its logits alone."""
    sampler = resolve(sampler)
    if not isinstance(sampler, (Greedy, Sample)):
        raise ValueError(
            "Guessed tokens are checked by `Greedy` or `Sample`. "
            f"Received: sampler={sampler}"
        )
    if isinstance(sampler, Sample) and sampler.has_penalties:
        raise ValueError(
            "Penalties depend on tokens that are only guessed yet; use a "
            f"`Sample` without. Received: sampler={sampler}"
        )
    return sampler


_BY_NAME = {
    "beam": Beam,
    "greedy": Greedy,
    "prompt_lookup": PromptLookup,
    "sample": Sample,
}


def resolve(sampler: Any) -> Any:
    """Returns the sampler of a name, or the sampler itself.

    Raises:
        ValueError: If there is none of that name.
    """
    if not isinstance(sampler, str):
        if not hasattr(sampler, "kind") or isinstance(sampler, type):
            raise ValueError(
                "`sampler` must be a name or one of `kbm.samplers`. "
                f"Received: sampler={sampler!r}"
            )
        return sampler
    if sampler not in _BY_NAME:
        raise ValueError(
            f"`sampler` must be one of {sorted(_BY_NAME)} or one of "
            f"`kbm.samplers`. Received: sampler={sampler!r}"
        )
    return _BY_NAME[sampler]()
