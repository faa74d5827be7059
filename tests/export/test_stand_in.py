import json
import urllib.error
import urllib.request

import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.export import StandInServer


@pytest.fixture(scope="module")
def server(language_model):
    with StandInServer(language_model.folder.parent, grpc_port=None) as server:
        yield server


def ask(server, body, path="/v1/models/tiny:predict"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_rows_and_columns(server, language_model):
    prompts = ["Once", "é 你好"]
    texts = kbm.generate(
        language_model.model,
        prompts,
        language_model.tokenizer,
        max_new_tokens=11,
    )
    status, answer = ask(server, {"inputs": {"prompts": prompts}})
    assert status == 200 and answer["outputs"]["text"] == texts
    assert set(answer["outputs"]["text_bytes"][0]) == {"b64"}
    status, same = ask(server, {"instances": [{"prompts": p} for p in prompts]})
    assert [row["text"] for row in same["predictions"]] == texts
    status, same = ask(server, {"instances": prompts})
    assert [row["text"] for row in same["predictions"]] == texts


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"inputs": {"prompts": []}}, 400, "is empty"),
        ({"inputs": {"prompts": ["a " * 51]}}, 400, "102 bytes"),
        ({"inputs": {"prompts": [1]}}, 400, "expected a string"),
        ({"inputs": {"prompts": [["a"]]}}, 400, "compatible|shape|rank"),
        ({"inputs": {"prompt": ["a"]}}, 400, "inputs are"),
        ({"inputs": {}, "instances": []}, 400, "instances. or"),
        ({}, 400, "instances. or"),
        ([], 400, "Not a request"),
        (b"{", 400, "Not a request"),
        (b"\xff\xfe", 400, "Not a request"),
        ({"signature_name": "x", "inputs": {}}, 404, "not found"),
    ],
)
def test_bad_requests(server, body, status, message):
    import re

    came, answer = ask(server, body)
    assert came == status and re.search(message, answer["error"])


def test_a_guard_says_what_a_server_says(server):
    body = {"inputs": {"prompts": ["a " * 51]}}
    message = ask(server, body)[1]["error"]
    assert message.startswith("assertion failed: [A text in `prompts` has 102")


def test_other_paths(server):
    assert ask(server, {}, "/v1/models/other:predict")[0] == 404
    assert ask(server, {}, "/v1/models/tiny/versions/2:predict")[0] == 404
    with urllib.request.urlopen(f"{server.url}/v1/models/tiny") as answer:
        (status,) = json.load(answer)["model_version_status"]
    assert (status["version"], status["state"]) == ("1", "AVAILABLE")


def test_there_must_be_a_version(tmp_path):
    with pytest.raises(ValueError, match="no version.*Received: path="):
        StandInServer(tmp_path)


def test_numbers_keep_their_type(server):
    options = {
        "prompts": ["a"],
        "max_new_tokens": [3],
        "temperature": [0],
        "top_k": [0],
        "top_p": [1],
        "min_p": [0.0],
        "repetition_penalty": [1.0],
        "seed": [0],
    }
    body = {"signature_name": "generate", "inputs": options}
    assert ask(server, body)[1]["outputs"]["num_tokens"] == [3]
    for wrong in (
        {"top_k": [0.5]},
        {"top_k": [2**31]},
        {"temperature": ["hot"]},
        {"temperature": [float("nan")]},
        {"seed": [[1]]},
        {"seed": []},
    ):
        body = {"signature_name": "generate", "inputs": {**options, **wrong}}
        assert ask(server, body)[0] == 400, wrong


def test_grpc_speaks_the_official_messages(language_model):
    pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    grpc = pytest.importorskip("grpc")
    with StandInServer(language_model.folder.parent) as server:
        client = kbm.export.client.GrpcClient("tiny", server.address)
        answer = client.predict("serving_default", {"prompts": ["Once"]})
        assert answer["num_tokens"].tolist() == [11]
        ((first, *_),) = [answer["text_bytes"]]
        whole = kbm.generate(
            language_model.model,
            language_model.tokenizer.encode(["Once"])[0],
            max_new_tokens=11,
        )
        assert first == bytes(whole)
        pieces = list(client.stream("Once", max_new_tokens=11))
        assert "".join(pieces) == answer["text"][0].decode()
        for prompts, code in (([], "INVALID"), (["a " * 51], "INVALID")):
            with pytest.raises(grpc.RpcError, match=code):
                inputs = {"prompts": np.array(prompts, object)}
                client.predict("serving_default", inputs)
        client.close()
