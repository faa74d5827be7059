"""Makes a written graph smaller, so that it loads faster.

Inside a function of a SavedModel's library, nodes are known by their names to
each other alone, and so are the variables that come into it; these names are
most of its bytes. Many nodes are the same constant. Other arguments and
results, functions and the main graph stay as they are.
"""

import pathlib
from typing import Any

from tensorflow.core.framework.types_pb2 import DT_RESOURCE
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.saved_model import fingerprinting_utils

# Shapes that are inferred again; which nodes shall be placed together, by their
# names, of no use to nodes that may be placed anywhere; what tracing wants;
# which gradient would be used.
_UNUSED = (
    "_output_shapes",
    "_class",
    "_has_manual_control_dependencies",
    "_gradient_op_type",
)


def shorten(folder: pathlib.Path) -> None:
    """Shortens all functions of a SavedModel, which is written anew.

    Args:
        folder: The SavedModel, saved without gradients of functions.
    """
    path = folder / "saved_model.pb"
    model = SavedModel.FromString(path.read_bytes())
    for function in model.meta_graphs[0].graph_def.library.function:
        _shorten(function)
    path.write_bytes(model.SerializeToString(deterministic=True))
    # It tells this graph from others.
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    fingerprinting_utils.write_fingerprint(str(folder))


def _shorten(function: Any) -> None:
    arguments, names = _variables(function.signature.input_arg, "v")
    _, results = _variables(function.signature.output_arg, "r")
    for old, new in results.items():
        function.ret[new] = function.ret.pop(old)
    constants: dict[bytes, str] = {}
    nodes = []
    for node in function.node_def:
        name = _short(len(nodes), arguments)
        if node.op == "Const" and not node.input:
            key = node.attr["value"].SerializeToString(deterministic=True)
            if key in constants:
                names[node.name] = constants[key]
                continue
            constants[key] = name
        names[node.name] = name
        nodes.append(type(node).FromString(node.SerializeToString()))
    for node in nodes:
        node.name = names[node.name]
        # Of several constants that were waited for, one may be left.
        inputs = [_renamed(part, names) for part in node.input]
        node.input[:] = [
            part
            for index, part in enumerate(inputs)
            if not part.startswith("^") or part not in inputs[:index]
        ]
        node.ClearField("experimental_debug_info")
        for attribute in _UNUSED:
            node.attr.pop(attribute, None)
    del function.node_def[:]
    function.node_def.extend(nodes)
    for results in (function.ret, function.control_ret):
        for key, value in dict(results).items():
            results[key] = _renamed(value, names)


def _variables(arguments: Any, letter: str) -> tuple[set[str], dict[str, str]]:
    """Renames those arguments that are variables.

    Args:
        arguments: A function's arguments or results.
        letter: With which their new names begin.

    Returns:
        The names of all arguments now, and new names by old ones.
    """
    taken = {argument.name for argument in arguments}
    renamed = {}
    for argument in arguments:
        name = f"{letter}{len(renamed):x}"
        if argument.type == DT_RESOURCE and name not in taken:
            renamed[argument.name] = name
            argument.name = name
    return {argument.name for argument in arguments}, renamed


def _renamed(reference: str, names: dict[str, str]) -> str:
    """Returns a reference, "name", "^name" or "name:output:0", renamed."""
    control = reference.startswith("^")
    name, colon, rest = reference.removeprefix("^").partition(":")
    return "^" * control + names.get(name, name) + colon + rest


def _short(number: int, taken: set[str]) -> str:
    """Returns a name of few letters that is not taken."""
    name = f"n{number:x}"
    return name if name not in taken else f"node_{number:x}"
