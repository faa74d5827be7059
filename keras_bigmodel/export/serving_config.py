"""Files to run the real TensorFlow Serving with: Docker, Kubernetes, client."""

import os
import pathlib
import re
import shutil
from collections.abc import Sequence

from keras_bigmodel.export import client

IMAGE = "tensorflow/serving:2.20.0"
PLACE = "serving"

_MODELS = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""

# Without padding, requests are put together only if their shapes agree: those
# of `prefill`, `decode` and `generate_ids` may differ, and then run alone.
_BATCHING = """\
max_batch_size {{ value: {max_batch_size} }}
batch_timeout_micros {{ value: 2000 }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: 4 }}
{allowed}
pad_variable_length_inputs: false
"""

_MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

# glibc then asks Linux for pages of 2 MiB: steps read weights sooner.
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

_DOCKER = """\
#!/usr/bin/env sh
# Serves the model by Docker: gRPC on port 8500, REST on port 8501.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec docker run --rm --name {name}_serving \\
  -p 8500:8500 -p 8501:8501 \\
  --env {variable}={value} \\
  --mount type=bind,source="$here/..",target=/models/{name},readonly \\
  --mount type=bind,source="$here",target=/config,readonly \\
  {image} {flags}
"""

_COMPOSE = """\
services:
  {name}:
    image: {image}
    command: {flags}
    ports: ["8500:8500", "8501:8501"]
    environment: {{{variable}: {value}}}
    volumes:
      - ..:/models/{name}:ro
      - .:/config:ro
    restart: unless-stopped
"""

_KUBERNETES = """\
# The models are expected on a volume claim named {slug}-models, under {name}/,
# and these files as: kubectl create configmap {slug}-config --from-file=serving
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {slug}
spec:
  replicas: 1
  selector:
    matchLabels: {{app: {slug}}}
  template:
    metadata:
      labels: {{app: {slug}}}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8501"
        prometheus.io/path: /monitoring/prometheus/metrics
    spec:
      containers:
        - name: serving
          image: {image}
          args: {args}
          env:
            - {{name: {variable}, value: {value}}}
          ports:
            - {{name: grpc, containerPort: 8500}}
            - {{name: rest, containerPort: 8501}}
          startupProbe:
            httpGet: {{path: /v1/models/{name}, port: rest}}
            periodSeconds: 5
            failureThreshold: 60
          readinessProbe:
            httpGet: {{path: /v1/models/{name}, port: rest}}
            periodSeconds: 5
          livenessProbe:
            tcpSocket: {{port: grpc}}
            periodSeconds: 10
          volumeMounts:
            - {{name: models, mountPath: /models, readOnly: true}}
            - {{name: config, mountPath: /config, readOnly: true}}
      volumes:
        - name: models
          persistentVolumeClaim: {{claimName: {slug}-models}}
        - name: config
          configMap: {{name: {slug}-config}}
---
apiVersion: v1
kind: Service
metadata:
  name: {slug}
spec:
  selector: {{app: {slug}}}
  ports:
    - {{name: grpc, port: 8500}}
    - {{name: rest, port: 8501}}
"""

_FLAGS = (
    "--model_config_file=/config/models.config",
    "--monitoring_config_file=/config/monitoring.config",
    "--enable_batching=true",
    "--batching_parameters_file=/config/batching.config",
)


def write_serving_bundle(
    path: str | os.PathLike, batch_sizes: Sequence[int] = (1, 8, 32)
) -> pathlib.Path:
    """Writes what runs TensorFlow Serving for an exported model.

    Into `serving` inside the model's folder come the server's own files
    (models.config, batching.config, monitoring.config), a script for Docker
    (docker.sh), docker-compose.yaml, kubernetes.yaml with probes and the scrape
    of Prometheus, and a client (client.py) that needs none of this package.

    The files are written after TensorFlow Serving's documentation. They have
    not been run by the tests, which have no Docker; `serving/docker.sh` and
    then `serving/client.py` do so in two commands where it is.

    Args:
        path: The model's folder, such as `saved_models/NAME`.
        batch_sizes: Sizes that the server fills batches up to.

    Returns:
        The folder `serving`.

    Raises:
        ValueError: If there is no model, its name is none that a server takes,
            or the sizes do not rise.

    Example:
    ```python
    import keras_bigmodel as kbm

    model = kbm.models.lstm_lm(259, num_layers=1, units=8)
    kbm.export_saved_model(
        model, "saved_models/small", kbm.text.ByteTokenizer()
    )
    folder = kbm.export.write_serving_bundle("saved_models/small")
    (folder / "docker.sh").exists()  # True
    ```
    """
    path = pathlib.Path(path)
    name = path.resolve().name
    sizes = list(batch_sizes)
    if not path.is_dir() or not any(p.name.isdecimal() for p in path.iterdir()):
        raise ValueError(
            "There is no exported model here, no folder 1, 2, .... "
            f"Received: path={str(path)!r}"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ValueError(
            "A served model's name has letters, digits, '_', '-' and '.'. "
            f"Received: path={str(path)!r}"
        )
    if not sizes or sizes[0] < 1 or sizes != sorted(set(sizes)):
        raise ValueError(
            "`batch_sizes` must be positive and rise. "
            f"Received: batch_sizes={batch_sizes}"
        )
    ((variable, value),) = LARGE_PAGES.items()
    values = {
        "name": name,
        # Kubernetes takes small letters, digits and '-' alone.
        "slug": re.sub("[^a-z0-9]+", "-", name.lower()).strip("-"),
        "image": IMAGE,
        "flags": " ".join(_FLAGS),
        "args": f"[{', '.join(_FLAGS)}]",
        "variable": variable,
        "value": value,
        "max_batch_size": sizes[-1],
        "allowed": "\n".join(f"allowed_batch_sizes: {size}" for size in sizes),
    }
    folder = path / PLACE
    folder.mkdir(exist_ok=True)
    texts = {
        "models.config": _MODELS.format(**values),
        "batching.config": _BATCHING.format(**values),
        "monitoring.config": _MONITORING,
        "docker.sh": _DOCKER.format(**values),
        "docker-compose.yaml": _COMPOSE.format(**values),
        "kubernetes.yaml": _KUBERNETES.format(**values),
    }
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    (folder / "docker.sh").chmod(0o755)
    shutil.copyfile(client.__file__, folder / "client.py")
    return folder
