import functools

import keras
import pytest

from keras_bigmodel.generation import compiled
from keras_bigmodel.generation.program import Program


@pytest.fixture
def model():
    return keras.Sequential([keras.layers.Dense(1)])


def test_a_program_is_made_once_for_a_key(model):
    made = []

    def make():
        made.append(1)
        return Program(model, None)

    first = compiled.compiled_program(model, "key", make, False)
    assert compiled.compiled_program(model, "key", make, False) is first
    assert compiled.compiled_program(model, "key", make, True) is not first
    assert compiled.compiled_program(model, "other", make, False) is not first
    assert len(made) == 3


@pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="Of TensorFlow's weights."
)
def test_weights_move_into_large_pages_when_a_program_is_used_again(
    model, monkeypatch
):
    from keras_bigmodel.generation import tensorflow_pages

    moved = []
    monkeypatch.setattr(
        tensorflow_pages, "use_huge_pages", lambda *what: moved.append(what)
    )
    monkeypatch.setattr(tensorflow_pages, "pages_in_use", lambda: {len(moved)})
    model.build((None, 2))

    def use(key="key"):
        make = functools.partial(Program, model, None)
        compiled.compiled_program(model, key, make, False)
        return len(moved)

    assert [use(), use(), use()] == [0, 1, 1]
    values = [v.value for v in model.variables]
    assert moved[0] == (values, {0})
    assert [use("other"), use("other"), use("other")] == [1, 2, 2]
    assert moved[1] == (values, {1})
    model.add(keras.layers.Dense(1))
    model.build((None, 2))
    assert [use(), use()] == [2, 3]


def test_programs_are_no_part_of_the_model(model):
    compiled.compiled_program(model, "key", lambda: Program(model, None), False)
    assert "key" not in str(model.get_config())
    copy = keras.Sequential.from_config(model.get_config())
    assert "_keras_bigmodel_programs" not in copy.__dict__


def test_other_backends_are_refused(model, monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    with pytest.raises(ValueError, match="Received: backend='torch'"):
        compiled.compiled_program(model, 1, lambda: None, False)
