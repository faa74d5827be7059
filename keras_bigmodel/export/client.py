"""A client of a served language model, over REST or gRPC.

This file needs nothing of keras_bigmodel: copy it where you need it. REST needs
Python alone; gRPC needs `pip install grpcio tensorflow-serving-api`.

    python client.py --model NAME "Once upon a time"
    python client.py --model NAME --grpc localhost:8500 --stream "Once upon"
"""

import argparse
import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

# Tokens of a call while streaming.
STREAM_TOKENS = 8
OPTIONS = {
    "max_new_tokens": 64,
    "temperature": 0.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "seed": 0,
}


class Client:
    """What both ways to a server share.

    Args:
        model: The served model's name.
        timeout: Seconds to wait for an answer.
    """

    # An encoder-decoder's is "source_texts".
    text_input = "prompts"

    def __init__(self, model: str, timeout: float = 60.0) -> None:
        self.model = model
        self.timeout = timeout

    def predict(self, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Returns the outputs of a signature, batch first.

        Args:
            signature: Its name, such as "serving_default".
            inputs: Lists or arrays by name.
        """
        raise RuntimeError("Use a RestClient or a GrpcClient.")

    def generate(self, prompts: list[str], **options: Any) -> list[str]:
        """Returns the continuations of prompts.

        Args:
            prompts: Texts.
            **options: Some of `OPTIONS`, the same for all prompts.
        """
        inputs = {self.text_input: prompts, **_rows(options, len(prompts))}
        return [
            _text(text) for text in self.predict("generate", inputs)["text"]
        ]

    def stream(self, prompt: str, **options: Any) -> Iterator[str]:
        """Yields the continuation of a prompt, piece by piece.

        Args:
            prompt: The text.
            **options: Some of `OPTIONS`.
        """
        inputs = {self.text_input: [prompt], **_rows(options, 1)}
        answer = self.predict("prefill", inputs)
        given = ""
        while not answer.get("finish_reason") or not answer["finish_reason"][0]:
            state = {k: v for k, v in answer.items() if k.startswith("state_")}
            answer = self.predict(
                "decode", {"num_tokens": [STREAM_TOKENS], **state}
            )
            text = _text(answer["text"][0])
            if not answer["finish_reason"][0]:
                # The last character may not have all its bytes yet.
                text = text.rstrip("\ufffd")
            if len(text) > len(given):
                yield text[len(given) :]
                given = text


class RestClient(Client):
    """Speaks to a server's REST port.

    Args:
        model: The served model's name.
        url: Where the server listens.
        timeout: Seconds to wait for an answer.
    """

    def __init__(
        self,
        model: str,
        url: str = "http://localhost:8501",
        timeout: float = 60.0,
    ) -> None:
        super().__init__(model, timeout)
        self.url = f"{url}/v1/models/{model}:predict"

    def predict(self, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Returns the outputs of a signature; bytes where names end in _bytes.

        Args:
            signature: Its name.
            inputs: Lists by name; bytes are sent as they are.

        Raises:
            ValueError: If the server refuses the request.
        """
        body = {"signature_name": signature, "inputs": _to_json(inputs)}
        request = urllib.request.Request(
            self.url,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(
                request, timeout=self.timeout
            ) as answer:
                outputs = json.load(answer)["outputs"]
        except urllib.error.HTTPError as error:
            message = error.read().decode("utf-8", "replace")
            raise ValueError(
                f"The server refuses: {message} Received: status={error.code}"
            ) from error
        return {name: _from_json(value) for name, value in outputs.items()}


class GrpcClient(Client):
    """Speaks to a server's gRPC port.

    Args:
        model: The served model's name.
        address: Where the server listens.
        timeout: Seconds to wait for an answer, the server's deadline too.
    """

    def __init__(
        self,
        model: str,
        address: str = "localhost:8500",
        timeout: float = 60.0,
    ) -> None:
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        super().__init__(model, timeout)
        size = ("grpc.max_receive_message_length", -1)
        self._channel = grpc.insecure_channel(address, [size])
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel
        )

    def predict(self, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Returns the outputs of a signature, as arrays.

        Args:
            signature: Its name.
            inputs: Lists or arrays by name.
        """
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.model
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            # Python's floats are doubles, and no signature takes these.
            is_float = any(isinstance(entry, float) for entry in value)
            proto = tf.make_tensor_proto(value, "float32" if is_float else None)
            request.inputs[name].CopyFrom(proto)
        answer = self._stub.Predict(request, self.timeout)
        return {
            name: tf.make_ndarray(value)
            for name, value in answer.outputs.items()
        }

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()


def _rows(options: dict[str, Any], count: int) -> dict[str, list]:
    """Returns each option once a row."""
    unknown = set(options) - set(OPTIONS)
    if unknown:
        raise ValueError(
            f"Options are {sorted(OPTIONS)}. Received: {sorted(unknown)}"
        )
    return {
        name: [type(default)(options.get(name, default))] * count
        for name, default in OPTIONS.items()
    }


def _to_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: _to_json(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(entry) for entry in value]
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"])
    if isinstance(value, list):
        return [_from_json(entry) for entry in value]
    return value


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value


def main() -> None:
    """Asks a server to continue a prompt."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("prompt")
    parser.add_argument("--model", required=True, help="its name")
    parser.add_argument("--url", default="http://localhost:8501")
    parser.add_argument("--grpc", help="an address; REST is not used then")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument(
        "--text-input",
        default=Client.text_input,
        help="source_texts for an encoder-decoder",
    )
    for name, default in OPTIONS.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(default), default=default)
    arguments = parser.parse_args()
    if arguments.grpc:
        client: Client = GrpcClient(arguments.model, arguments.grpc)
    else:
        client = RestClient(arguments.model, arguments.url)
    client.text_input = arguments.text_input
    options = {name: getattr(arguments, name) for name in OPTIONS}
    if arguments.stream:
        for piece in client.stream(arguments.prompt, **options):
            print(piece, end="", flush=True)
        print()
    else:
        print(client.generate([arguments.prompt], **options)[0])


if __name__ == "__main__":
    main()
