"""What the package exports, run by the C++ loader that TF Serving uses."""

import re

import pytest
import tensorflow as tf

from tests.serving import harness

pytestmark = [pytest.mark.tensorflow, harness.needs_compiler]

PROMPTS = [b"Once", b"", "é 你好".encode(), b"\xff\x00\xfe", b"a b c" * 5]


def test_the_language_model_answers_as_in_python(language_model):
    requests = [
        ("serving_default", {"prompts": PROMPTS[:rows]}) for rows in (1, 3, 5)
    ]
    report = harness.run(language_model.folder, requests, threads=4)
    loaded = tf.saved_model.load(str(language_model.folder))
    by_request = zip(*report.threads, strict=True)
    for rows, answers in zip((1, 3, 5), by_request, strict=True):
        expected = loaded.signatures["serving_default"](
            prompts=tf.constant(PROMPTS[:rows])
        )
        for answer in answers:
            assert answer.error == ""
            for name, value in expected.items():
                assert (
                    answer.outputs[name].tolist() == value.numpy().tolist()
                ), name


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
    report = harness.run(language_model.folder, [request])
    assert report.answers[0].outputs == {}
    assert re.search(error, report.answers[0].error)
