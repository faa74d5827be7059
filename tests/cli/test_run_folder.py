import keras
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.cli import run_folder

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def tokenizer():
    return kbm.text.BytePairTokenizer.train(["to be or not to be"], 263)


def new_model():
    return kbm.models.decoder_lm(263, 16, 1, 2, 8)


def test_what_is_saved_comes_back(tokenizer, tmp_path):
    model = new_model()
    for _ in range(2):  # the second time over the first
        folder = run_folder.save_run(tmp_path / "a" / "b", model, tokenizer)
    names = {file.name for file in folder.iterdir()}
    assert names == {run_folder.MODEL_FILE, run_folder.TOKENIZER_FOLDER}
    again, read = run_folder.load_model(folder)
    ids = np.array(read.encode(["not to be"]))
    assert ids.tolist() == tokenizer.encode(["not to be"])
    np.testing.assert_array_equal(again(ids), model(ids))


def test_other_folders_are_refused(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="Received: "):
        run_folder.load_model(tmp_path)


def test_a_file_that_was_cut_off_is_refused(tokenizer, tmp_path):
    folder = run_folder.save_run(tmp_path, new_model(), tokenizer)
    path = folder / run_folder.MODEL_FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut off.*Received: path=.*keras"):
        run_folder.load_model(folder)


def test_the_context_is_known():
    assert run_folder.max_sequence_length(new_model()) == 16
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
    with pytest.raises(ValueError, match="no max_seq.*Received: model="):
        run_folder.max_sequence_length(other)


def test_places_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            ValueError, match="can be written.*Received: folder"
        ):
            run_folder.check_writable(place)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    with pytest.raises(ValueError, match="can be written"):
        run_folder.check_writable(tmp_path / "link" / "folder")
    for place in ("new/folder", "empty"):
        run_folder.check_writable(tmp_path / place)
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "empty").iterdir()) == []
