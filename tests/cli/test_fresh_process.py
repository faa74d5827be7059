import pytest
import tensorflow as tf

from keras_bigmodel.cli.fresh_process import ask

pytestmark = pytest.mark.tensorflow


class Shout(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "prompt")])
    def __call__(self, prompt):
        tf.debugging.assert_greater(tf.strings.length(prompt), 0, "empty!")
        return {"text": tf.strings.upper(prompt, "utf-8") + "!"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("shout") / "1"
    module = Shout()
    tf.saved_model.save(module, str(path), signatures=module.__call__)
    return path


def test_answers_come_from_another_process(folder):
    assert ask(folder, ["one", 'quoted "é" 二\n']) == [
        "ONE!",
        'QUOTED "É" 二\n!',
    ]


def test_a_failing_model_is_reported(folder, tmp_path):
    with pytest.raises(
        RuntimeError, match="does not answer: .*Received: folder"
    ):
        ask(tmp_path, ["one"])
