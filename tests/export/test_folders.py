import os
import time

import pytest

from keras_bigmodel.export import folders


def write(path, content="x"):
    with folders.new_version(path) as version:
        (version.folder / "variables").mkdir()
        (version.folder / "variables" / "data").write_text(content)
    return version.folder


def test_versions_are_numbered(tmp_path):
    path = tmp_path / "models" / "name"
    assert write(path) == path / "1"
    assert write(path, "y") == path / "2"
    (path / "7").mkdir()
    (path / "notes").mkdir()
    assert write(str(path)) == path / "8"
    assert (path / "2" / "variables" / "data").read_text() == "y"
    assert sorted(os.listdir(path)) == ["1", "2", "7", "8", "notes"]


def test_nothing_is_seen_before_it_is_complete(tmp_path):
    with folders.new_version(tmp_path / "name") as version:
        (version.folder / "file").write_text("x")
        names = os.listdir(tmp_path / "name")
        assert [name for name in names if name.isdecimal()] == []
    assert os.listdir(tmp_path / "name") == ["1"]


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(KeyError):
        with folders.new_version(tmp_path / "a" / "name") as version:
            (version.folder / "file").write_text("x")
            raise KeyError
    assert os.listdir(tmp_path) == []
    write(tmp_path / "name")
    with pytest.raises(KeyboardInterrupt):
        with folders.new_version(tmp_path / "name"):
            raise KeyboardInterrupt
    assert os.listdir(tmp_path / "name") == ["1"]


def test_two_exports_at_once_get_two_numbers(tmp_path):
    with folders.new_version(tmp_path) as first:
        (first.folder / "file").write_text("first")
        with folders.new_version(tmp_path) as second:
            (second.folder / "file").write_text("second")
    assert (first.folder.name, second.folder.name) == ("2", "1")
    assert (tmp_path / "2" / "file").read_text() == "first"


def test_what_a_killed_export_left_goes_after_a_day(tmp_path):
    old, new = tmp_path / ".partial-old", tmp_path / ".partial-new"
    old.mkdir()
    new.mkdir()
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    write(tmp_path)
    assert not old.exists() and new.exists()


@pytest.mark.parametrize("inner", ["", "name", "a/b"])
def test_a_file_in_the_way(tmp_path, inner):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match="'.*file' is a file.*Received: path="):
        write(file / inner)
    assert file.read_text() == "mine"


def test_a_folder_that_is_not_writable(tmp_path, monkeypatch):
    # Root may write everywhere, so the answer is given for it.
    monkeypatch.setattr(folders.os, "access", lambda *arguments: False)
    with pytest.raises(ValueError, match="not writable.*Received: path="):
        write(tmp_path / "name")
    assert os.listdir(tmp_path) == []
