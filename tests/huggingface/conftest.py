"""The fixtures of small checkpoints, unpacked when a test asks for one."""

import io
import json
import pathlib
import zipfile

import numpy as np
import pytest

from keras_bigmodel.huggingface.tensor_file import SafetensorsFile

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


@pytest.fixture
def unpack(tmp_path):
    """Returns a function: family and variant to folder and expected arrays."""

    def unpack_case(family, variant):
        folder = tmp_path / f"{family}-{variant}"
        folder.mkdir()
        with zipfile.ZipFile(FIXTURES / f"{family}.zip") as archive:
            for name in ("config.json", "model.safetensors"):
                content = archive.read(f"{variant}/{name}")
                (folder / name).write_bytes(content)
            raw = archive.read(f"{variant}/expected.npz")
        return folder, dict(np.load(io.BytesIO(raw)))

    return unpack_case


def change(folder, **entries):
    """Changes entries of a checkpoint's config.json and returns all."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **entries}
    path.write_text(json.dumps(config))
    return config


def tensors_of(folder):
    """Returns a checkpoint's tensors, by name."""
    file = SafetensorsFile(folder / "model.safetensors")
    return {name: np.array(file.read(name)) for name in file.places}
