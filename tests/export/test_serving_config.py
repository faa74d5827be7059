import pathlib
import re
import subprocess
import sys

import pytest

from keras_bigmodel.export import serving_config


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "My_model.v2"
    (path / "1").mkdir(parents=True)
    return path


def test_the_files_name_the_model_and_one_another(model):
    folder = serving_config.write_serving_bundle(model, [1, 4])
    assert folder == model / "serving"
    files = {file.name: file.read_text() for file in folder.iterdir()}
    assert 'base_path: "/models/My_model.v2"' in files["models.config"]
    assert (
        "allowed_batch_sizes: 1\nallowed_batch_sizes: 4\n"
        in (files["batching.config"])
    )
    assert "max_batch_size { value: 4 }" in files["batching.config"]
    for name in ("docker.sh", "docker-compose.yaml", "kubernetes.yaml"):
        text = files[name]
        assert "tensorflow/serving:2.20.0" in text
        for config in re.findall(r"/config/([\w.]+)", text):
            assert config in files
        assert "{" not in re.sub(r"\{[^{}]*\}|\$\{", "", text)
    assert "name: my-model-v2\n" in files["kubernetes.yaml"]
    # A second time replaces the files.
    serving_config.write_serving_bundle(model)


def test_the_script_is_one_and_the_client_runs_alone(model):
    folder = serving_config.write_serving_bundle(model)
    script = folder / "docker.sh"
    assert script.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", str(script)], check=True)
    done = subprocess.run(
        [sys.executable, "-S", str(folder / "client.py"), "--help"],
        capture_output=True,
        text=True,
    )
    assert "--temperature" in done.stdout, done.stderr


def test_the_yaml_is_read(model):
    yaml = pytest.importorskip("yaml")
    folder = serving_config.write_serving_bundle(model)
    deployment, service = yaml.safe_load_all(
        (folder / "kubernetes.yaml").read_text()
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert "--enable_batching=true" in container["args"]
    assert service["spec"]["selector"] == {"app": "my-model-v2"}
    compose = yaml.safe_load((folder / "docker-compose.yaml").read_text())
    assert set(compose["services"]) == {"My_model.v2"}
    pages = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    assert compose["services"]["My_model.v2"]["environment"] == pages
    assert {v["name"]: v["value"] for v in container["env"]} == pages
    script = (folder / "docker.sh").read_text()
    assert "--env GLIBC_TUNABLES=glibc.malloc.hugetlb=1 " in script


@pytest.mark.parametrize("batch_sizes", [[], [0, 1], [4, 2], [2, 2]])
def test_sizes_rise(model, batch_sizes):
    with pytest.raises(ValueError, match="rise. Received: batch_sizes="):
        serving_config.write_serving_bundle(model, batch_sizes)


def test_there_must_be_a_model_with_a_name(tmp_path):
    with pytest.raises(ValueError, match="no exported model.*Received: path="):
        serving_config.write_serving_bundle(tmp_path / "none")
    path = tmp_path / "a b"
    (path / "1").mkdir(parents=True)
    with pytest.raises(ValueError, match="name has letters.*Received: path="):
        serving_config.write_serving_bundle(pathlib.Path(path))
