import os

import pytest
import tensorflow as tf

import keras_bigmodel as kbm

PROMPTS = ["Once", "", "a longer one: 你好"]


@pytest.fixture(scope="module")
def served(language_model):
    loaded = tf.saved_model.load(str(language_model.folder))
    return loaded.signatures["serving_default"]


def test_answers_are_those_in_memory(language_model, served):
    answer = served(prompts=tf.constant(PROMPTS))
    details = kbm.generate(
        language_model.model,
        PROMPTS,
        language_model.tokenizer,
        max_new_tokens=11,
        details=True,
    )
    texts = [text.decode() for text in answer["text"].numpy()]
    assert texts == [row.text for row in details]
    for row, raw in zip(details, answer["text_bytes"].numpy(), strict=True):
        assert raw == bytes(row.token_ids)
    assert answer["num_tokens"].numpy().tolist() == [11, 11, 11]


def test_the_folder_is_a_numbered_version(language_model):
    assert language_model.folder.name == "1"
    assert os.listdir(language_model.folder.parent) == ["1"]
    assert "saved_model.pb" in os.listdir(language_model.folder)


def test_training_leaves_nothing_in_the_folder(language_model, tmp_path):
    language_model.model.compile("adam", "sparse_categorical_crossentropy")
    ids = tf.zeros([2, 5], tf.int32)
    language_model.model.fit(ids, ids, verbose=0)
    folder = kbm.export_saved_model(
        language_model.model,
        tmp_path,
        language_model.tokenizer,
        max_new_tokens=3,
        prove=False,
    )
    weights = 4 * language_model.model.count_params()
    data = folder / "variables" / "variables.data-00000-of-00001"
    assert weights <= data.stat().st_size < weights + 8000
    names = [
        n for n, _ in tf.train.list_variables(str(data.parent / "variables"))
    ]
    assert not [name for name in names if "adam" in name.lower()]


def test_a_bad_path_is_refused_at_once(language_model, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match="is a file.*Received: path="):
        kbm.export_saved_model(
            language_model.model, file, language_model.tokenizer
        )
    assert file.read_text() == "mine"
