import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.export import warmup
from keras_bigmodel.export.signatures.signature import Signature


def signatures(num_examples=1):
    example = {"x": [1.5, 3], "text": ["a", b"\xff\x00"]}
    one = Signature(
        call=lambda x, text: {"y": x},
        inputs={
            "x": tf.TensorSpec([None]),
            "text": tf.TensorSpec([None], tf.string),
        },
        examples=lambda: [example] * num_examples,
        expect=lambda example: {},
    )
    return {"serving_default": one}


def test_examples_fill_batches():
    (_, one), (name, three) = warmup.warmup_requests(signatures(), (1, 3))
    assert name == "serving_default"
    assert one["x"].tolist() == [1.5]
    assert three["x"].tolist() == [1.5, 3, 1.5]
    assert three["text"].tolist() == [b"a", b"\xff\x00", b"a"]


def test_too_many_requests():
    with pytest.raises(ValueError, match="at most 1000.*Received: batch_sizes"):
        warmup.warmup_requests(signatures(501), (1, 2))


def test_the_file_is_what_the_official_messages_read(tmp_path):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    requests = warmup.warmup_requests(signatures(), (2, 200))
    path = warmup.write_warmup(tmp_path, "näme", requests)
    expected = tmp_path / "assets.extra" / "tf_serving_warmup_requests"
    assert path == expected
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    assert len(records) == 2
    for record, (name, inputs) in zip(records, requests, strict=True):
        log = logs.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "näme"
        assert request.model_spec.signature_name == name
        assert set(request.inputs) == set(inputs)
        for key, value in inputs.items():
            came = tf.make_ndarray(request.inputs[key])
            np.testing.assert_array_equal(came, value)


def test_of_many_numbers_only_the_shape_is_written(tmp_path):
    requests = warmup.warmup_requests(signatures(), (2000,))
    path = warmup.write_warmup(tmp_path, "name", requests)
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    (record,) = tf.data.TFRecordDataset(str(path))
    request = logs.PredictionLog.FromString(record.numpy()).predict_log.request
    assert request.inputs["x"].ByteSize() < 30
    x, text = (tf.make_ndarray(request.inputs[key]) for key in ("x", "text"))
    np.testing.assert_array_equal(x, np.zeros(2000, "float32"))
    np.testing.assert_array_equal(text, requests[0][1]["text"])
