import pytest

from keras_bigmodel import __main__

TEXT = "".join(f"Line {i}: to be or not to be, {i * i}.\n" for i in range(900))


@pytest.fixture(scope="session")
def text_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "lines.txt"
    file.write_text(TEXT)
    return file


@pytest.fixture(scope="session")
def trained(text_file, tmp_path_factory):
    """A folder that `train` filled in some seconds."""
    folder = tmp_path_factory.mktemp("run") / "lines"
    sizes = "--vocabulary-size 270 --sequence-length 32 --num-layers 1"
    sizes += " --num-heads 2 --hidden-dim 32 --steps 40"
    code = __main__.main(
        ["train", "--text", str(text_file), "--output", str(folder)]
        + sizes.split()
    )
    assert code == 0
    return folder
