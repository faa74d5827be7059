"""Training by `model.fit` for a given time."""

import dataclasses
import math
import statistics
import time
from typing import Any

import keras

# How often the validation loss is taken, and how many steps tell the speed.
ROUNDS = 20
_TIMED_STEPS = 20


@dataclasses.dataclass
class Curves:
    """Losses in nats per token, each measured after so many minutes.

    Args:
        steps: optimiser steps taken in all.
        minutes: when each round ended.
        training: mean loss of each round, with dropout.
        validation: loss on the held-out text at the end of each round.
    """

    steps: int = 0
    minutes: list[float] = dataclasses.field(default_factory=list)
    training: list[float] = dataclasses.field(default_factory=list)
    validation: list[float] = dataclasses.field(default_factory=list)


class Pace(keras.callbacks.Callback):
    """Moves the learning rate with the steps taken or with the time spent.

    Whichever is further along counts, so that the rate has always come to its
    end when the training does, also on a machine that slows down midway.

    Args:
        schedule: the learning rate by step.
        total_steps: how many steps are planned.
        seconds: when the training ends at the latest; None: never.
    """

    def __init__(
        self,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        total_steps: int,
        seconds: float | None = None,
    ):
        super().__init__()
        self.schedule = schedule
        self.total_steps = total_steps
        self.seconds = seconds
        self.curves = Curves()

    def on_train_begin(self, logs=None):
        """Starts the clock."""
        self._start = time.monotonic()

    def on_train_batch_begin(self, batch, logs=None):
        """Sets the learning rate of the coming step."""
        step = float(self.curves.steps)
        if self.seconds is not None:
            step = max(step, self.total_steps * self._share_of_time())
        rate = self.schedule(min(step, float(self.total_steps)))
        self.model.optimizer.learning_rate = rate

    def on_train_batch_end(self, batch, logs=None):
        """Counts the step and stops when the time is over."""
        self.curves.steps += 1
        if self.seconds is not None and self._share_of_time() >= 1.0:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        """Notes the losses of the round."""
        minutes = (time.monotonic() - self._start) / 60
        self.curves.minutes.append(minutes)
        self.curves.training.append(float(logs["loss"]))
        if "val_loss" in logs:
            self.curves.validation.append(float(logs["val_loss"]))

    def _share_of_time(self) -> float:
        return (time.monotonic() - self._start) / self.seconds


def train(
    model: keras.Model,
    dataset: Any,
    validation: Any,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    learning_rate: float = 3e-3,
    weight_decay: float = 0.1,
    verbose: str | int = "auto",
) -> Curves:
    """Train a language model with AdamW, a warm-up and a cosine decay.

    Args:
        model: token ids to logits; it is compiled here.
        dataset: endless batches of token ids and the ids that follow them.
        validation: the same of the held-out text, finite.
        minutes: for how long, all included. How many steps fit is measured.
        steps: or for how many steps.
        learning_rate: the highest, reached after a twentieth of the training.
        weight_decay: of the matrices; embeddings, scales and biases have none.
        verbose: as for `fit`.

    Raises:
        ValueError: unless just one of `minutes` and `steps` is given, and is
            positive.
    """
    amount = minutes if steps is None else steps
    if (minutes is None) == (steps is None) or not amount > 0:
        raise ValueError(
            "Say how long to train: either minutes or steps, above 0. "
            f"Received: minutes={minutes}, steps={steps}"
        )
    start = time.monotonic()
    optimizer = keras.optimizers.AdamW(
        0.0, weight_decay=weight_decay, beta_2=0.98, clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(
        var_list=[w for w in model.trainable_weights if len(w.shape) < 2],
        var_names=["embedding"],
    )
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # Small steps gain little from XLA, and compiling takes its minutes.
        jit_compile=False,
    )
    seconds = None
    if minutes is not None:
        speed = steps_per_second(model, dataset, validation)
        seconds = max(60 * minutes - (time.monotonic() - start), 1.0)
        steps = max(1, int(speed * seconds))
    steps_per_round = max(1, math.ceil(steps / ROUNDS))
    warmup = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, steps - warmup),
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )
    pace = Pace(schedule, steps, seconds)
    model.fit(
        dataset,
        validation_data=validation,
        epochs=max(1, steps // steps_per_round),
        steps_per_epoch=steps_per_round,
        callbacks=[pace],
        shuffle=False,
        verbose=verbose,
    )
    return pace.curves


def steps_per_second(
    model: keras.Model, dataset: Any, validation: Any
) -> float:
    """Measure how fast a compiled model takes steps.

    The learning rate being 0, the weights stay as they are.

    Args:
        model: a compiled model whose learning rate is 0.
        dataset: endless batches.
        validation: what `fit` will evaluate every round; it is only traced.
    """
    options = {"shuffle": False, "verbose": 0}
    # The first steps trace the graphs.
    model.fit(dataset, steps_per_epoch=2, validation_data=validation, **options)
    clock = _StepClock()
    model.fit(
        dataset, steps_per_epoch=_TIMED_STEPS, callbacks=[clock], **options
    )
    # The median: one hiccup says nothing about the hour to come.
    return 1 / statistics.median(clock.seconds)


class _StepClock(keras.callbacks.Callback):
    """Notes how long each step takes."""

    def on_train_begin(self, logs=None):
        self.seconds: list[float] = []
        self._last = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        self.seconds.append(now - self._last)
        self._last = now
