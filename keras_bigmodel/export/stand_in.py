"""A stand-in for TensorFlow Serving, where no Docker is at hand."""

import base64
import http.server
import json
import os
import pathlib
import re
import threading
from concurrent import futures
from typing import Any

import numpy as np
import tensorflow as tf

_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(:predict)?$")
_STATUS_OF_CODE = {3: 400, 5: 404, 8: 429, 9: 400, 11: 400, 4: 504}


class StandInServer:
    """Answers as TensorFlow Serving does, for notebooks and tests.

    This is not TensorFlow Serving: it runs the newest version of one model in
    Python's loader, makes no batches, and looks for no newer version. It
    speaks the same REST and gRPC predict calls, with the official messages, so
    that clients tried against it work with the real server.

    Args:
        path: The model's folder, such as `saved_models/NAME`.
        rest_port: Port of REST; 0: any free one.
        grpc_port: Port of gRPC, which needs `tensorflow-serving-api`; 0: any
            free one; None: no gRPC.

    Raises:
        ValueError: If the folder has no version.

    Example:
    ```python
    import keras_bigmodel as kbm

    model = kbm.models.decoder_lm(259, 32, 1, 2, 8)
    kbm.export_saved_model(
        model, "saved_models/tiny", kbm.text.ByteTokenizer(), max_new_tokens=4
    )
    server = kbm.export.StandInServer("saved_models/tiny", grpc_port=None)
    client = kbm.export.client.RestClient("tiny", server.url)
    client.generate(["Once upon"], max_new_tokens=4)
    server.stop()
    ```
    """

    def __init__(
        self,
        path: str | os.PathLike,
        rest_port: int = 0,
        grpc_port: int | None = 0,
    ) -> None:
        path = pathlib.Path(path).resolve()
        versions = [p for p in path.glob("*") if p.name.isdecimal()]
        if not versions:
            raise ValueError(
                "There is no version of a model here, no folder 1, 2, .... "
                f"Received: path={str(path)!r}"
            )
        newest = max(versions, key=lambda version: int(version.name))
        self.name, self.version = path.name, newest.name
        self._loaded = tf.saved_model.load(str(newest))
        self._http = _HttpServer(("localhost", rest_port), _Handler)
        self._http.owner = self
        self.url = f"http://localhost:{self._http.server_port}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, daemon=True
        )
        self._thread.start()
        self.address: str | None = None
        self._grpc: Any = None
        if grpc_port is not None:
            self._grpc, port = _grpc_server(self, grpc_port)
            self.address = f"localhost:{port}"

    def __enter__(self) -> "StandInServer":
        return self

    def __exit__(self, *unused: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the server."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        if self._grpc is not None:
            self._grpc.stop(None).wait()

    def signature(self, name: str) -> Any:
        """Returns a signature's function.

        Args:
            name: Its name; empty: "serving_default".

        Raises:
            NotFoundError: If there is none of that name.
        """
        name = name or "serving_default"
        if name not in self._loaded.signatures:
            raise tf.errors.NotFoundError(
                None, None, f"Serving signature name: {name!r} not found"
            )
        return self._loaded.signatures[name]

    def run(
        self, signature: str, inputs: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Runs a signature, if the inputs are those that it takes.

        Args:
            signature: Its name.
            inputs: Arrays by name.

        Raises:
            InvalidArgumentError: If names or types are others, or a guard in
                the graph refuses them.
        """
        function = self.signature(signature)
        specs = function.structured_input_signature[1]
        if set(specs) != set(inputs):
            raise tf.errors.InvalidArgumentError(
                None,
                None,
                f"The inputs are {sorted(specs)}, and not {sorted(inputs)}",
            )
        tensors = {}
        for name, value in inputs.items():
            tensors[name] = tf.convert_to_tensor(value)
            came, wanted = tensors[name].dtype, specs[name].dtype
            if came != wanted:
                raise tf.errors.InvalidArgumentError(
                    None, None, f"{name} is {came.name}, not {wanted.name}"
                )
        outputs = function(**tensors)
        return {name: value.numpy() for name, value in outputs.items()}


class _HttpServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    owner: StandInServer


class _Handler(http.server.BaseHTTPRequestHandler):
    """REST, as TF Serving's page on its API describes it."""

    server: _HttpServer

    def do_GET(self) -> None:
        found = _PATH.match(self.path)
        if found is None or not self._is_ours(found):
            self._answer(404, {"error": f"Unknown path: {self.path}"})
            return
        status = {
            "version": self.server.owner.version,
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        self._answer(200, {"model_version_status": [status]})

    def do_POST(self) -> None:
        found = _PATH.match(self.path)
        length = int(self.headers.get("Content-Length", 0))
        content = self.rfile.read(length)
        if found is None or not found.group(3) or not self._is_ours(found):
            self._answer(404, {"error": f"Unknown path: {self.path}"})
            return
        try:
            self._answer(200, self._predict(json.loads(content)))
        except tf.errors.OpError as error:
            status = _STATUS_OF_CODE.get(error.error_code, 500)
            self._answer(status, {"error": _message(error)})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._answer(400, {"error": f"Not a request: {error}"})

    def log_message(self, *unused: Any) -> None:
        """Says nothing."""

    def _is_ours(self, found: re.Match) -> bool:
        owner = self.server.owner
        return found.group(1) == owner.name and found.group(2) in (
            None,
            owner.version,
        )

    def _predict(self, body: dict[str, Any]) -> dict[str, Any]:
        owner = self.server.owner
        name = body.get("signature_name", "")
        specs = owner.signature(name).structured_input_signature[1]
        if ("instances" in body) == ("inputs" in body):
            raise ValueError("give `instances` or `inputs`")
        by_row = "instances" in body
        columns = _columns(body["instances"]) if by_row else body["inputs"]
        if not isinstance(columns, dict):
            (only,) = specs
            columns = {only: columns}
        inputs = {
            key: _array(value, specs[key].dtype)
            if key in specs
            else np.zeros(0)
            for key, value in columns.items()
        }
        outputs = {
            key: _plain(value, key.endswith("_bytes"))
            for key, value in owner.run(name, inputs).items()
        }
        if len(outputs) == 1:
            (only,) = outputs.values()
            return {"predictions" if by_row else "outputs": only}
        if not by_row:
            return {"outputs": outputs}
        rows = zip(*outputs.values(), strict=True)
        return {
            "predictions": [
                dict(zip(outputs, row, strict=True)) for row in rows
            ]
        }

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _message(error: tf.errors.OpError) -> str:
    """Returns what a server says: Python puts its own words before it."""
    found = re.search("assertion failed: .*", error.message)
    return found.group() if found else error.message


def _columns(rows: list[Any]) -> Any:
    """Turns rows into columns by name; rows of one input stay as they are."""
    is_named = isinstance(rows[0], dict) and set(rows[0]) != {"b64"}
    if not is_named:
        return rows
    return {name: [row[name] for row in rows] for name in rows[0]}


def _array(value: Any, dtype: tf.DType) -> np.ndarray:
    if dtype == tf.string:
        return np.array(_strings(value), object)
    array = np.array(value)
    if not array.size:
        return array.astype(dtype.as_numpy_dtype)
    if array.dtype.kind not in ("b" if dtype == tf.bool else "iuf"):
        raise ValueError(f"expected numbers, and not {value!r:.100}")
    if dtype.is_integer and array.dtype.kind == "f":
        raise ValueError(f"expected whole numbers, and not {value!r:.100}")
    if dtype.is_integer:
        least, most = int(array.min()), int(array.max())
        if least < dtype.min or most > dtype.max:
            raise ValueError(f"{value!r:.100} is out of {dtype.name}'s range")
    return array.astype(dtype.as_numpy_dtype)


def _strings(value: Any) -> Any:
    if isinstance(value, list):
        return [_strings(entry) for entry in value]
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    if not isinstance(value, str):
        raise ValueError(f"expected a string, and not {value!r:.100}")
    return value.encode()


def _plain(value: Any, as_bytes: bool) -> Any:
    """Returns an array as what JSON can hold."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist(), as_bytes)
    if isinstance(value, list):
        return [_plain(entry, as_bytes) for entry in value]
    if isinstance(value, bytes):
        if as_bytes:
            return {"b64": base64.b64encode(value).decode()}
        return value.decode()
    return value


def _grpc_server(owner: StandInServer, port: int) -> tuple[Any, int]:
    """Starts a gRPC server with the official messages; returns its port."""
    import grpc
    from tensorflow_serving.apis import predict_pb2
    from tensorflow_serving.apis import prediction_service_pb2_grpc as service

    codes = {code.value[0]: code for code in grpc.StatusCode}

    class Servicer(service.PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> Any:
            spec = request.model_spec
            if spec.name != owner.name:
                context.abort(codes[5], f"no model named {spec.name!r}")
            try:
                inputs = {
                    name: tf.make_ndarray(value)
                    for name, value in request.inputs.items()
                }
                outputs = owner.run(spec.signature_name, inputs)
            except tf.errors.OpError as error:
                context.abort(codes[error.error_code], _message(error))
            except (ValueError, TypeError) as error:
                context.abort(codes[3], f"not a request: {error}")
            answer = predict_pb2.PredictResponse()
            answer.model_spec.name = owner.name
            answer.model_spec.version.value = int(owner.version)
            for name, value in outputs.items():
                proto = tf.make_tensor_proto(value)
                answer.outputs[name].CopyFrom(proto)
            return answer

    size = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(4), options=size)
    service.add_PredictionServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port(f"localhost:{port}")
    server.start()
    return server, port
