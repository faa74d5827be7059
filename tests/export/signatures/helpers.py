"""What the tests of signatures share."""

import numpy as np
import tensorflow as tf

from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.signatures.kinds import served_model

EXAMPLES = ["Once", "", "é 你好"]


def serve(model, tokenizer=None, labels=None, **options):
    """Returns a model's signatures, as traced functions and as objects."""
    values = {
        "task": None,
        "limits": Limits(batch_tokens=600),
        "max_new_tokens": 5,
        "top_k": 5,
        "examples": EXAMPLES,
        **options,
    }
    served = served_model(model, tokenizer, labels, **values)
    signatures = served.signatures()
    traced = {name: entry.trace() for name, entry in signatures.items()}
    return traced, signatures


def check_examples(traced, signatures):
    """Runs every example, and compares with what it must give."""
    for name, signature in signatures.items():
        for example in signature.examples():
            arrays = signature.arrays(example)
            answer = traced[name](
                **{key: tf.constant(value) for key, value in arrays.items()}
            )
            for key, wanted in signature.expect(example).items():
                came, wanted = answer[key].numpy(), np.asarray(wanted)
                if wanted.dtype.kind == "f":
                    np.testing.assert_allclose(came, wanted, 1e-4, 1e-5)
                else:
                    assert came.tolist() == wanted.tolist(), (name, key)
