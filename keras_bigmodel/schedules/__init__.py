"""Learning-rate schedules with a warm-up."""

from keras_bigmodel.schedules.warmup_cosine import WarmupCosine
from keras_bigmodel.schedules.warmup_inverse_square_root import (
    WarmupInverseSquareRoot,
)

__all__ = ["WarmupCosine", "WarmupInverseSquareRoot"]
