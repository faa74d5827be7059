"""What the package exports, run by the C++ loader that TF Serving uses."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from keras_bigmodel.export import eight_bit
from keras_bigmodel.export.guards import Limits
from keras_bigmodel.export.saved_model import write
from keras_bigmodel.export.signatures.kinds import served_model
from keras_bigmodel.export.signatures.loop import Loop
from keras_bigmodel.export.warmup import warmup_requests
from keras_bigmodel.export.weights import TOLERANCES, with_weights
from keras_bigmodel.generation import tensorflow_packing
from tests.serving import harness

pytestmark = [pytest.mark.tensorflow, harness.needs_compiler]

BYTES = kbm.text.ByteTokenizer()
PROMPTS = [b"Once", b"", "é 你好".encode(), b"\xff\x00\xfe", b"a b c" * 5]


def trunk():
    return kbm.models.encoder(259, 31, 1, 2, 8, pad_id=256)


MODELS = {
    "decoder_lm": lambda: kbm.models.decoder_lm(259, 31, 2, 2, 8),
    "lstm_lm": lambda: kbm.models.lstm_lm(259, 1, 7),
    "encoder": trunk,
    "text_classifier": lambda: kbm.models.text_classifier(trunk(), 3),
    "token_classifier": lambda: kbm.models.token_classifier(trunk(), 3),
    "encoder_decoder": lambda: kbm.models.encoder_decoder(
        259, 259, 31, 1, 2, 8, pad_id=256
    ),
    "gru_seq2seq": lambda: kbm.models.gru_seq2seq(
        259, 259, 1, 7, attention=True, pad_id=256
    ),
    "cnn_classifier": lambda: kbm.models.cnn_classifier((8, 8, 3), 3, (2,)),
    "lstm_regressor": lambda: kbm.models.lstm_regressor(
        num_features=3, num_outputs=2, num_layers=1, units=5
    ),
}


def compare(name, answer, expected, tolerance=1e-4):
    assert answer.error == "", name
    for key, wanted in expected.items():
        came, wanted = answer.outputs[key], np.asarray(wanted)
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(
                came, wanted, tolerance, tolerance / 10, err_msg=name
            )
        else:
            assert came.tolist() == wanted.tolist(), (name, key)


def written(served, folder):
    """Writes the signatures; returns them, what to ask, and as requests."""
    signatures = served.signatures()
    write(signatures, folder)
    asked = [
        (name, example)
        for name, signature in signatures.items()
        for example in signature.examples()
    ]
    requests = [(name, signatures[name].arrays(e)) for name, e in asked]
    return signatures, asked, requests


@pytest.mark.parametrize("kind", MODELS)
def test_every_signature_answers_as_in_memory(kind, tmp_path):
    keras.utils.set_random_seed(3)
    model = MODELS[kind]()
    served = served_model(
        model,
        BYTES,
        ["a", "b", "c"] if kind.endswith("classifier") else None,
        task=None,
        limits=Limits(),
        max_new_tokens=5,
        top_k=2,
        examples=["Once", "", "é 你"],
    )
    signatures, asked, requests = written(served, tmp_path)
    # Batches of other sizes follow, to see that they run.
    requests += warmup_requests(signatures, (1, 3, 32))
    report = harness.run(tmp_path, requests, threads=2)
    for answers in report.threads:
        for (name, example), answer in zip(asked, answers, strict=False):
            compare(name, answer, signatures[name].expect(example))
        assert {answer.error for answer in answers} == {""}


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ("decoder_lm", "bfloat16"),
        ("decoder_lm", "int8"),
        ("decoder_lm", "packed"),
        ("text_classifier", "int8"),
    ],
)
def test_other_weights_answer_as_in_memory(kind, weights, tmp_path):
    if weights == "int8" and not eight_bit.has_kernel():
        pytest.skip("this build of TensorFlow has no _QuantizedMatMul")
    packs = weights == "packed"
    if packs and not tensorflow_packing.is_available():
        pytest.skip("this TensorFlow has no packed products")
    weights = "float32" if packs else weights
    keras.utils.set_random_seed(3)
    served = served_model(
        with_weights(MODELS[kind](), weights),
        BYTES if kind == "text_classifier" else None,
        None,
        task=None,
        limits=Limits(),
        max_new_tokens=5,
        top_k=3,
        examples=["Once", "é 你"],
        loop=Loop(pack_weights=packs),
    )
    signatures, asked, requests = written(served, tmp_path)
    report = harness.run(tmp_path, requests, threads=2)
    for answers in report.threads:
        for (name, example), answer in zip(asked, answers, strict=True):
            expected = signatures[name].expect(example)
            compare(name, answer, expected, TOLERANCES[weights])


def test_eight_threads_at_once(language_model):
    requests = [
        ("serving_default", {"prompts": PROMPTS[:rows]}) for rows in (1, 3, 5)
    ]
    report = harness.run(language_model.folder, requests, threads=8)
    loaded = tf.saved_model.load(str(language_model.folder))
    by_request = zip(*report.threads, strict=True)
    for rows, answers in zip((1, 3, 5), by_request, strict=True):
        expected = loaded.signatures["serving_default"](
            prompts=tf.constant(PROMPTS[:rows])
        )
        for answer in answers:
            compare("serving_default", answer, expected)


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ({"prompts": [b"a " * 51]}, "INVALID_ARGUMENT: .*has 102 bytes"),
        ({"prompts": [[b"a"]]}, "INVALID_ARGUMENT"),
        ({"prompts": [1.5]}, "INVALID_ARGUMENT|INTERNAL.*type"),
        ({"prompt": [b"a"]}, "INVALID_ARGUMENT: missing"),
    ],
)
def test_bad_requests_are_refused(language_model, inputs, error):
    request = ("serving_default", inputs)
    # The first request of a signature pays for its graph; then it is quick.
    report = harness.run(language_model.folder, [request], repeat=5)
    assert report.answers[0].outputs == {}
    assert re.search(error, report.answers[0].error)
    assert report.request_ms[0] < 50
