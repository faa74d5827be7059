"""Small models that the tools of this folder serve."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import keras

import keras_bigmodel as kbm
from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.saved_model import write
from keras_bigmodel.export.signatures.kinds import served_model
from keras_bigmodel.export.signatures.signature import Signature

LIMITS = Limits(
    text_bytes=101,
    word_bytes=37,
    new_tokens=23,
    batch_tokens=200,
    image_pixels=4096,
)
EXAMPLES = ["Once", "a b c", "é 你好"]


@dataclasses.dataclass(frozen=True)
class Served:
    """A written model and the signatures it was written from."""

    folder: pathlib.Path
    signatures: dict[str, Signature]

    def requests(self) -> list[tuple[str, dict[str, Any]]]:
        """Good requests, one or more for each signature."""
        return [
            (name, signature.arrays(example))
            for name, signature in self.signatures.items()
            for example in signature.examples()
        ]


def serve(
    model: keras.Model,
    folder: pathlib.Path,
    tokenizer: Any,
    names: Sequence[str] = (),
) -> Served:
    """Write a model with small limits, and all its signatures or some.

    A session's first request of a signature takes seconds, so that tests in a
    hurry want few.
    """
    served = served_model(
        model,
        tokenizer,
        None,
        task=None,
        limits=LIMITS,
        max_new_tokens=11,
        top_k=2,
        examples=EXAMPLES,
    )
    signatures = served.signatures()
    signatures = {n: signatures[n] for n in names or signatures}
    write(signatures, folder)
    return Served(folder, signatures)


def language_model(folder: pathlib.Path, names: Sequence[str] = ()) -> Served:
    """A byte-level decoder."""
    keras.utils.set_random_seed(7)
    model = kbm.models.decoder_lm(259, 47, 2, 2, 12)
    return serve(model, folder, kbm.text.ByteTokenizer(), names)


def image_classifier(folder: pathlib.Path, names: Sequence[str] = ()) -> Served:
    """A convolutional classifier of JPEG and PNG."""
    keras.utils.set_random_seed(7)
    model = kbm.models.cnn_classifier((8, 8, 3), 3, (2,))
    return serve(model, folder, None, names)
