"""Warm-up, then a half cosine down."""

import math
from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_bigmodel")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Rises to a peak in a straight line, then falls as half a cosine.

    Step s of S, with w steps of warm-up, peak p and floor f, has the rate

        p (s + 1) / w                                       while s < w
        f + (p - f) (1 + cos(pi (s - w) / (S - w))) / 2     up to S, then f

    Unlike Keras's `CosineDecay` it is told the steps of the whole training,
    and its first step already learns.

    Args:
        peak_learning_rate: The largest rate.
        total_steps: Steps of the whole training, warm-up included.
        warmup_steps: Steps of the warm-up.
        final_learning_rate: The rate at the end and after it.
        name: The schedule's name.

    Raises:
        ValueError: If the warm-up does not end before the training, or the
            rates do not fall.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    schedule = kbm.schedules.WarmupCosine(3e-4, total_steps=1000,
                                          warmup_steps=100)
    optimizer = keras.optimizers.AdamW(schedule)
    ```

    References:
        Loshchilov & Hutter 2017, "SGDR", section 3; Radford et al. 2018,
        "Improving Language Understanding by Generative Pre-Training", section
        4.1.
    """

    def __init__(
        self,
        peak_learning_rate: float,
        total_steps: int,
        warmup_steps: int = 0,
        final_learning_rate: float = 0.0,
        name: str = "warmup_cosine",
    ) -> None:
        super().__init__()
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                "The warm-up must end before the training does. Received: "
                f"warmup_steps={warmup_steps}, total_steps={total_steps}"
            )
        if not 0 <= final_learning_rate <= peak_learning_rate:
            raise ValueError(
                "The final rate must be from 0 to the peak's. Received: "
                f"final_learning_rate={final_learning_rate}, "
                f"peak_learning_rate={peak_learning_rate}"
            )
        self.peak_learning_rate = peak_learning_rate
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.final_learning_rate = final_learning_rate
        self.name = name

    def __call__(self, step: Tensor) -> Tensor:
        """Returns the rate of a step, counted from 0."""
        step = ops.cast(step, "float32")
        peak, floor = self.peak_learning_rate, self.final_learning_rate
        rising = peak * (step + 1) / max(1, self.warmup_steps)
        done = (step - self.warmup_steps) / (
            self.total_steps - self.warmup_steps
        )
        wave = (1 + ops.cos(math.pi * ops.clip(done, 0.0, 1.0))) / 2
        falling = floor + (peak - floor) * wave
        return ops.where(step < self.warmup_steps, rising, falling)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "peak_learning_rate": self.peak_learning_rate,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "final_learning_rate": self.final_learning_rate,
            "name": self.name,
        }
