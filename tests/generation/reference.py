"""Decoding the slow way: without a cache, by whole passes of the model."""

import keras
import numpy as np


def logits_of(model, token_ids):
    """Returns the logits after each token of a row, float64."""
    logits = model(np.array([token_ids], "int32"))
    return keras.ops.convert_to_numpy(logits)[0].astype("float64")


def greedy(model, prompt, answer):
    """Returns what follows each token of an answer without any cache.

    It is the answer itself exactly if the answer is the greedy one, shown by
    induction from its first token on.
    """
    logits = logits_of(model, [*prompt, *answer[:-1]])
    return logits[len(prompt) - 1 :].argmax(axis=-1).tolist()
