"""Options of a generation, one entry a row, so that a server may batch them."""

import dataclasses
from typing import Any

import tensorflow as tf

from keras_bigmodel.export.guards import after, require


@dataclasses.dataclass(frozen=True)
class Option:
    """One option's range; a NaN lies in none.

    Args:
        default: What leaves the model's own probabilities as they are.
        least: The smallest value.
        most: The largest value.
        zero: Whether 0 is allowed though it is below `least`.
    """

    default: float
    least: float
    most: float
    zero: bool = False

    @property
    def dtype(self) -> tf.DType:
        """int32 or float32, as the default is."""
        return tf.int32 if isinstance(self.default, int) else tf.float32


# The ranges keep sums finite: a temperature of 1e-30 is greedy and not NaN.
SAMPLING = {
    "temperature": Option(1.0, 0.01, 100.0, zero=True),
    "top_k": Option(0, 0, 2**30),
    "top_p": Option(1.0, 1e-6, 1.0),
    "min_p": Option(0.0, 0.0, 1.0),
    "repetition_penalty": Option(1.0, 0.01, 100.0),
}


def option_specs() -> dict[str, tf.TensorSpec]:
    """Returns the inputs of a signature that takes options, (B,) each."""
    return {
        "max_new_tokens": tf.TensorSpec([None], tf.int32),
        **{
            name: tf.TensorSpec([None], option.dtype)
            for name, option in SAMPLING.items()
        },
        "seed": tf.TensorSpec([None], tf.int32),
    }


def greedy_options(batch: tf.Tensor, max_new_tokens: int) -> dict[str, Any]:
    """Returns the options of rows that all take the most probable token.

    Args:
        batch: Number of rows.
        max_new_tokens: Tokens to generate.
    """
    values = {name: option.default for name, option in SAMPLING.items()}
    values |= {"temperature": 0.0, "max_new_tokens": max_new_tokens, "seed": 0}
    return {
        name: tf.fill([batch], tf.cast(values[name], spec.dtype))
        for name, spec in option_specs().items()
    }


def check_options(
    options: dict[str, tf.Tensor], batch: tf.Tensor, most_new_tokens: int
) -> dict[str, tf.Tensor]:
    """Returns a request's options if each is in its range.

    Args:
        options: By name, those of `option_specs`.
        batch: Rows of the request.
        most_new_tokens: What the model makes at most.
    """
    ranges = {
        **SAMPLING,
        "max_new_tokens": Option(1, 1, most_new_tokens),
    }
    checked = {}
    for name, values in options.items():
        values = tf.ensure_shape(values, [None])
        rows = require(
            tf.equal(tf.size(values), batch),
            f"`{name}` must have one entry for each row, ",
            batch,
            "; it has ",
            tf.size(values),
        )
        checks = [rows]
        if name in ranges:
            checks.append(_in_range(name, values, ranges[name]))
        checked[name] = after(checks, values)
    return checked


def _in_range(name: str, values: tf.Tensor, option: Option) -> tf.Operation:
    least = tf.cast(option.least, values.dtype)
    most = tf.cast(option.most, values.dtype)
    valid = (values >= least) & (values <= most)
    if option.zero:
        valid |= values == 0
    wrong = tf.boolean_mask(values, ~valid)
    # The first value that is wrong, or anything where all are right.
    shown = tf.concat([wrong, [least]], axis=0)[0]
    zero = "0, or " if option.zero else ""
    return require(
        tf.reduce_all(valid),
        f"`{name}` must be {zero}from {option.least} to {option.most}; it is ",
        shown,
    )
