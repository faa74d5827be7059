"""Counts a model's parameters without making them."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras


def count_parameters(
    builder: Callable[..., keras.Model], *args: Any, **options: Any
) -> int:
    """Returns how many parameters a builder's model has, allocating none.

    Args:
        builder: A builder of `kbm.models`, or any function that returns a
            model.
        *args: The builder's positional arguments.
        **options: The builder's named arguments.

    Raises:
        ValueError: What the builder raises.

    Example:
    ```python
    import keras_bigmodel as kbm

    number = kbm.models.count_parameters(
        kbm.models.decoder_lm, 50257, 1024, 12, 12, 768,
        position_encoding="learned", activation="gelu_tanh",
    )
    assert number == 124_439_808  # GPT-2 small
    ```
    """

    def count() -> int:
        # Variables made in a stateless scope have a shape and no value yet.
        with keras.StatelessScope(initialize_variables=False):
            model = builder(*args, **options)
            return sum(math.prod(weight.shape) for weight in model.weights)

    # Keras keeps a thread's list of variables without a value; a thread of its
    # own forgets them when it ends.
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(count).result()
