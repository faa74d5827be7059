"""Warm-up, then a fall with the square root of the steps."""

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class WarmupInverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """Rises to a peak in a straight line, then falls without an end.

    Step s, counted from 0, with w steps of warm-up and peak p has the rate

        p min((s + 1) / w, sqrt(w / (s + 1)))

    The Transformer of 2017 had w = 4000 and p = (hidden_dim w) ** -0.5. As it
    does not ask how long the training will be, training can go on at any time.

    Args:
        peak_learning_rate: The largest rate.
        warmup_steps: Steps of the warm-up.
        name: The schedule's name.

    Raises:
        ValueError: If `warmup_steps` or `peak_learning_rate` is not positive.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    schedule = kbm.schedules.WarmupInverseSquareRoot(
        peak_learning_rate=(512 * 4000) ** -0.5, warmup_steps=4000
    )
    optimizer = keras.optimizers.Adam(schedule, beta_2=0.98, epsilon=1e-9)
    ```

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 5.3.
    """

    def __init__(
        self,
        peak_learning_rate: float,
        warmup_steps: int = 4000,
        name: str = "warmup_inverse_square_root",
    ) -> None:
        super().__init__()
        if warmup_steps < 1 or not peak_learning_rate > 0:
            raise ValueError(
                "Warm-up and peak must be positive. Received: "
                f"warmup_steps={warmup_steps}, "
                f"peak_learning_rate={peak_learning_rate}"
            )
        self.peak_learning_rate = peak_learning_rate
        self.warmup_steps = warmup_steps
        self.name = name

    def __call__(self, step: Tensor) -> Tensor:
        """Returns the rate of a step, counted from 0."""
        done = (ops.cast(step, "float32") + 1) / self.warmup_steps
        return self.peak_learning_rate * ops.minimum(done, done**-0.5)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "peak_learning_rate": self.peak_learning_rate,
            "warmup_steps": self.warmup_steps,
            "name": self.name,
        }
