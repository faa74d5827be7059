"""Runs requests in a SavedModel: `fresh_process.py MODEL REQUESTS ANSWERS`.

It is started as a file in a process of its own and imports TensorFlow alone,
so that what runs here runs without Keras and without this package.
"""

import sys
import time
from typing import Any

if __name__ == "__main__":
    # A server has none of these: from here on, importing one fails.
    for name in ("keras", "keras_bigmodel", "tensorflow_text"):
        sys.modules[name] = None

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.core.framework.attr_value_pb2 import NameAttrList  # noqa: E402

Messages = list[tuple[str, dict[str, Any]]]


def write_messages(path: str, messages: Messages) -> None:
    """Writes names with their tensors.

    Args:
        path: The file.
        messages: Pairs of a name and arrays by name.
    """
    with tf.io.TFRecordWriter(path) as writer:
        for name, tensors in messages:
            message = NameAttrList(name=name)
            for key, value in tensors.items():
                proto = tf.make_tensor_proto(value)
                message.attr[key].tensor.CopyFrom(proto)
            writer.write(message.SerializeToString())


def read_messages(path: str) -> Messages:
    """Reads what `write_messages` wrote.

    Args:
        path: The file.
    """
    messages = []
    for record in tf.data.TFRecordDataset(path):
        message = NameAttrList.FromString(record.numpy())
        tensors = {
            key: tf.make_ndarray(value.tensor)
            for key, value in message.attr.items()
        }
        messages.append((message.name, tensors))
    return messages


def main(model: str, requests: str, answers: str) -> None:
    """Loads a model, runs the requests and writes the answers.

    Args:
        model: The SavedModel's folder.
        requests: File of signatures' names and their inputs.
        answers: File of the outputs, behind the milliseconds that loading
            and each request took.
    """
    start = time.perf_counter()
    signatures = tf.saved_model.load(model).signatures
    load = 1000 * (time.perf_counter() - start)
    made, times = [], []
    for name, inputs in read_messages(requests):
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        signatures[name](**tensors)
        start = time.perf_counter()
        outputs = signatures[name](**tensors)
        made.append((name, {k: v.numpy() for k, v in outputs.items()}))
        times.append(1000 * (time.perf_counter() - start))
    spent = {"load": np.float64(load), "run": np.array(times)}
    write_messages(answers, [("times", spent), *made])


if __name__ == "__main__":
    main(*sys.argv[1:])
