import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.export.signatures import options


def check(batch=2, **changes):
    rows = options.greedy_options(tf.constant(batch), 5)
    rows |= {name: tf.constant(value) for name, value in changes.items()}
    checked = options.check_options(rows, tf.constant(batch), 7)
    return {name: value.numpy().tolist() for name, value in checked.items()}


def test_greedy_options_are_valid():
    checked = check()
    assert checked["temperature"] == [0, 0]
    assert checked["max_new_tokens"] == [5, 5]
    assert list(checked) == list(options.option_specs())


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("temperature", [0.01, 100.0]),
        ("top_k", [0, 2**30]),
        ("top_p", [1e-6, 1.0]),
        ("min_p", [0.0, 1.0]),
        ("repetition_penalty", [0.01, 100.0]),
        ("max_new_tokens", [1, 7]),
        ("seed", [-(2**31), 2**31 - 1]),
    ],
)
def test_the_ends_of_ranges_are_valid(name, values):
    assert check(**{name: values})[name] == np.float32(values).tolist() or (
        check(**{name: values})[name] == values
    )


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("temperature", -1.0, "0, or from 0.01 to 100.0; it is -1"),
        ("temperature", 1e-30, "from 0.01"),
        ("temperature", np.nan, "it is nan"),
        ("temperature", np.inf, "it is inf"),
        ("top_k", -1, "from 0 to"),
        ("top_p", 0.0, "to 1.0; it is 0"),
        ("top_p", 1.5, "it is 1.5"),
        ("top_p", np.nan, "it is nan"),
        ("min_p", -0.5, "it is -0.5"),
        ("min_p", np.nan, "it is nan"),
        ("repetition_penalty", 0.0, "from 0.01 to 100"),
        ("repetition_penalty", np.nan, "it is nan"),
        ("max_new_tokens", 0, "from 1 to 7; it is 0"),
        ("max_new_tokens", 2**31 - 1, "from 1 to 7"),
    ],
)
def test_values_out_of_range_are_refused(name, value, shown):
    good = check()[name][0]
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=f"`{name}` must be .*{shown}"
    ):
        check(**{name: [good, value]})


def test_each_row_has_its_option():
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="`seed` must have .* 2; it has 3"
    ):
        check(seed=[1, 2, 3])
