"""Keras's own exporters beside ours: ONNX and LiteRT give the same numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm

pytestmark = [
    # What the converters themselves do with NumPy 2 and TensorFlow 2.21.
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter:UserWarning"),
]

# tf2onnx knows no `Erfc`, so that "gelu" itself cannot be converted.
GELU = "gelu_tanh"
_ENDINGS = {"onnx": "onnx", "litert": "tflite"}


def text_classifier():
    trunk = kbm.models.encoder(59, 31, 1, 2, 8, pad_id=0, activation=GELU)
    return kbm.models.text_classifier(trunk, 3)


MODELS = {
    "cnn_classifier": lambda: kbm.models.cnn_classifier((8, 8, 3), 3, (2,)),
    "text_classifier": text_classifier,
    "decoder_lm": lambda: kbm.models.decoder_lm(
        59, 31, 1, 2, 8, position_encoding="learned", activation=GELU
    ),
    "rotary": lambda: kbm.models.decoder_lm(59, 31, 1, 2, 8, activation=GELU),
    "lstm_lm": lambda: kbm.models.lstm_lm(59, 1, 7),
}


def exported(kind, folder, file_format):
    """Exports a model; returns the file, an input and what must come out."""
    keras.utils.set_random_seed(3)
    model = MODELS[kind]()
    (inputs,) = model.inputs
    shape = [2, *(size or 5 for size in inputs.shape[1:])]
    x = np.random.default_rng(0).integers(1, 59, shape).astype(inputs.dtype)
    # Keras exports models that were called.
    expected = np.asarray(model(x))
    path = folder / f"model.{_ENDINGS[file_format]}"
    model.export(path, format=file_format, verbose=False)
    return path, x, expected


@pytest.mark.parametrize("kind", MODELS)
def test_onnxruntime_gives_the_same(kind, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    path, x, expected = exported(kind, tmp_path, "onnx")
    session = runtime.InferenceSession(str(path))
    (name,) = [given.name for given in session.get_inputs()]
    (came,) = session.run(None, {name: x})
    np.testing.assert_allclose(came, expected, 1e-4, 1e-5)
    # Another batch and another length.
    (other,) = session.run(None, {name: np.concatenate([x, x, x])})
    np.testing.assert_allclose(other[2:4], expected, 1e-4, 1e-5)


@pytest.mark.parametrize("kind", ["cnn_classifier", "decoder_lm"])
def test_litert_gives_the_same(kind, tmp_path):
    path, x, expected = exported(kind, tmp_path, "litert")
    interpreter = tf.lite.Interpreter(str(path))
    (given,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(given["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    (made,) = interpreter.get_output_details()
    came = interpreter.get_tensor(made["index"])
    np.testing.assert_allclose(came, expected, 1e-4, 1e-5)
