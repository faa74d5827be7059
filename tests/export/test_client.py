import contextlib
import os
import subprocess
import sys
import time
import types
import urllib.request

import pytest

import keras_bigmodel as kbm
from keras_bigmodel.export import StandInServer, client


@pytest.fixture(scope="module")
def server(language_model):
    if os.environ.get("KBM_SERVER") == "docker":
        yield from real_server(language_model.folder.parent)
        return
    with StandInServer(language_model.folder.parent, grpc_port=None) as server:
        yield server


def real_server(path):
    """Starts TensorFlow Serving by the bundle's own script."""
    bundle = kbm.export.write_serving_bundle(path)
    with subprocess.Popen([str(bundle / "docker.sh")]) as process:
        url = "http://localhost:8501"
        try:
            for _ in range(300):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{url}/v1/models/tiny").close()
                    break
                time.sleep(1)
            yield types.SimpleNamespace(url=url)
        finally:
            process.terminate()


@pytest.fixture
def rest(server):
    return client.RestClient("tiny", server.url)


def test_answers_are_those_in_memory(rest, language_model):
    model, tokenizer, _ = language_model
    prompts = ["Once", "a\x00b é"]
    texts = kbm.generate(model, prompts, tokenizer, max_new_tokens=9)
    assert rest.generate(prompts, max_new_tokens=9) == texts
    sampler = kbm.samplers.Sample(temperature=0.7, top_k=9)
    texts = kbm.generate(
        model, prompts, tokenizer, max_new_tokens=9, sampler=sampler, seed=3
    )
    options = {"temperature": 0.7, "top_k": 9, "seed": 3}
    assert rest.generate(prompts, max_new_tokens=9, **options) == texts


@pytest.mark.parametrize("tokens", [1, 4, 23])
def test_pieces_are_the_whole(rest, monkeypatch, tokens):
    monkeypatch.setattr(client, "STREAM_TOKENS", tokens)
    pieces = list(rest.stream("Once", max_new_tokens=11))
    assert "".join(pieces) == rest.generate(["Once"], max_new_tokens=11)[0]
    assert all(pieces)


def test_a_refusal_is_told(rest):
    with pytest.raises(ValueError, match="is nan|must be.*status=400"):
        rest.generate(["a"], temperature=-1.0)
    with pytest.raises(ValueError, match="Options are .*'top'"):
        rest.generate(["a"], top=1)


def test_the_command_line(server, monkeypatch, capsys):
    rest = client.RestClient("tiny", server.url)
    expected = rest.generate(["Once"], max_new_tokens=5)[0]
    command = ["client", "--model", "tiny", "--url", server.url]
    command += ["--max-new-tokens", "5", "Once"]
    for extra in ([], ["--stream"]):
        monkeypatch.setattr(sys, "argv", command + extra)
        client.main()
        assert capsys.readouterr().out == f"{expected}\n"
