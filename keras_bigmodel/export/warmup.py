"""Warm-up requests: what a server runs before it answers anybody.

The file is a TFRecord of `PredictionLog` messages. They are simple enough to
write by hand, which saves a dependency; the numbers are the fields' in TF
Serving's `prediction_log.proto`, `predict.proto` and `model.proto`.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bigmodel.export.signatures.signature import Signature

PLACE = pathlib.Path("assets.extra", "tf_serving_warmup_requests")
# A server refuses more.
MOST_REQUESTS = 1000
_MOST_NUMBERS = 1000


def warmup_requests(
    signatures: dict[str, Signature], batch_sizes: Sequence[int]
) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Returns requests for every signature and size of batch.

    Args:
        signatures: By name; their examples are repeated to fill a batch.
        batch_sizes: The sizes that the server makes batches of.

    Raises:
        ValueError: If there are too many requests.
    """
    requests = [
        (name, _resized(signature.arrays(example), size))
        for name, signature in signatures.items()
        for example in signature.examples()
        for size in batch_sizes
    ]
    if len(requests) > MOST_REQUESTS:
        raise ValueError(
            f"A server takes at most {MOST_REQUESTS} warm-up requests, and "
            f"these are {len(requests)}. Received: batch_sizes={batch_sizes}"
        )
    return requests


def write_warmup(
    folder: pathlib.Path,
    name: str,
    requests: Sequence[tuple[str, dict[str, np.ndarray]]],
) -> pathlib.Path:
    """Writes warm-up requests where a server looks for them.

    Args:
        folder: The SavedModel.
        name: The served model's name.
        requests: Signatures' names and their inputs.

    Returns:
        The file.
    """
    path = folder / PLACE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests:
            writer.write(prediction_log(name, signature, inputs))
    return path


def prediction_log(
    name: str, signature: str, inputs: dict[str, np.ndarray]
) -> bytes:
    """Returns a `PredictionLog` of one request.

    Args:
        name: The served model's name.
        signature: The signature's name.
        inputs: Arrays by name.
    """
    spec = _field(1, name.encode()) + _field(3, signature.encode())
    request = _field(1, spec)
    for key, value in inputs.items():
        tensor = _tensor(value).SerializeToString()
        request += _field(2, _field(1, key.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def _tensor(value: Any) -> Any:
    """Returns a `TensorProto`: of many numbers only the shape, with zeros.

    A warm-up is about shapes, and the caches of a state are large. A message
    with a single value means that value everywhere.
    """
    array = np.asarray(value)
    is_text = tf.as_dtype(array.dtype) == tf.string
    if is_text or array.size <= _MOST_NUMBERS:
        return tf.make_tensor_proto(array)
    message = tf.make_tensor_proto(np.zeros([1], array.dtype))
    message.tensor_shape.CopyFrom(tf.TensorShape(array.shape).as_proto())
    return message


def _resized(inputs: dict[str, Any], size: int) -> dict[str, np.ndarray]:
    """Returns arrays of `size` rows, repeated or left out."""
    return {
        name: np.take(value, np.arange(size) % len(value), axis=0)
        for name, value in inputs.items()
    }


def _field(number: int, content: bytes) -> bytes:
    """Returns a field of a message that has a length."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    coded = bytearray()
    while value > 0x7F:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    coded.append(value)
    return bytes(coded)
