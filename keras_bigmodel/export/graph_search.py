"""Looks through a written graph for what a server would stumble over."""

import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from keras_bigmodel.export import eight_bit
from keras_bigmodel.generation import tensorflow_packing

# TensorScatter... makes a new tensor, ResourceScatter... changes a variable.
_MUTABLE = (
    *("Assign", "Mutable", "Queue", "Barrier", "StackPush"),
    *("ResourceScatter", "ResourceApply", "Stateful", "RandomUniform"),
)
_CALLS = ("StatefulPartitionedCall", "PartitionedCall")
# In every build for x86-64 Linux, a server's too, and in no other.
_X86 = (eight_bit.KERNEL, tensorflow_packing.KERNEL)


def search(folder: pathlib.Path) -> dict[str, list[str]]:
    """Returns what was found in the graphs that signatures run, by question.

    Args:
        folder: A SavedModel.

    Returns:
        For each question the names of the ops in question, sorted.
    """
    model = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    meta_graph = model.meta_graphs[0]
    nodes = list(_reachable(meta_graph))
    library = meta_graph.graph_def.library
    functions = {function.signature.name for function in library.function}
    return {
        "ops outside TensorFlow's core": _names(
            node
            for node in nodes
            if not hasattr(tf.raw_ops, node.op)
            and node.op not in functions
            and node.op not in _X86
        ),
        "ops of x86-64 Linux alone": _names(
            node for node in nodes if node.op in _X86
        ),
        "mutable state": _names(node for node in nodes if _is_mutable(node.op)),
        "ops tied to a GPU": _names(
            node for node in nodes if "GPU" in node.device or "Cudnn" in node.op
        ),
        "float ops tied to a CPU": _names(
            node for node in nodes if "CPU" in node.device and _is_float(node)
        ),
        "graphs for XLA": _names(
            node for node in nodes if node.attr["_XlaMustCompile"].b
        ),
    }


def _reachable(meta_graph: Any) -> Iterator[Any]:
    """Yields the nodes that signatures run, not those that save and load."""
    graph = meta_graph.graph_def
    by_name = {node.name: node for node in graph.node}
    functions = {f.signature.name: f for f in graph.library.function}
    waiting = [
        info.name.split(":")[0]
        for signature in meta_graph.signature_def.values()
        for info in signature.outputs.values()
        if not signature.method_name.startswith("__saved_model")
    ]
    called: list[str] = []
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in by_name:
            continue
        seen.add(name)
        node = by_name[name]
        yield node
        called += _calls(node)
        waiting += [part.lstrip("^").split(":")[0] for part in node.input]
    seen = set()
    while called:
        name = called.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in functions[name].node_def:
            yield node
            called += _calls(node)


def _calls(node: Any) -> list[str]:
    names = []
    for value in node.attr.values():
        names.append(value.func.name)
        names += [function.name for function in value.list.func]
    # A function can be called as if it were an op.
    names.append(node.op)
    return [name for name in names if name]


def _is_mutable(op: str) -> bool:
    return op.startswith(_MUTABLE) and op not in _CALLS


def _is_float(node: Any) -> bool:
    types = (node.attr[name].type for name in ("T", "dtype"))
    return any(type_ and tf.as_dtype(type_).is_floating for type_ in types)


def _names(nodes: Iterable[Any]) -> list[str]:
    return sorted({node.op for node in nodes})
