"""Asks an exported model in a process that knows neither Keras nor us."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence

# All that a program needs to use an export: TensorFlow. It would import Keras
# by itself where it finds it; None makes that fail.
PROGRAM = """\
import json, sys
sys.modules["keras"] = sys.modules["keras_bigmodel"] = None
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
signature = model.signatures["serving_default"]
(name,) = signature.structured_input_signature[1]
answers = signature(**{name: tf.constant(json.loads(sys.argv[2]))})
print(json.dumps([t.decode() for t in answers["text"].numpy()]))
"""


def ask(folder: str | os.PathLike, prompts: Sequence[str]) -> list[str]:
    """Return `serving_default`'s answers, computed by a new Python.

    Args:
        folder: a version folder, such as `saved_models/NAME/1`.
        prompts: what to ask.

    Raises:
        RuntimeError: the process failed; its last words are in the message.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), json.dumps(list(prompts))],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(
            f"The exported model does not answer: {words} "
            f"Received: folder={folder}"
        )
    return json.loads(done.stdout.splitlines()[-1])
