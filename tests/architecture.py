"""What `test_architecture.py` checks, as functions that name every breach.

Each takes source text or an object and returns a list of sentences, empty
when all is well, so that they can be tried on small bad examples too.
"""

import ast
import inspect
import pathlib
import re
from collections.abc import Collection

import keras

import keras_bigmodel

PACKAGE = "keras_bigmodel"

# What each room may import from the others.
ROOMS = {
    "layers": {"layers"},
    "losses": {"losses"},
    "metrics": {"losses", "metrics"},
    "schedules": {"schedules"},
    "models": {"layers", "models"},
    "text": {"text"},
    "generation": {"layers", "generation"},
    "export": {"layers", "generation", "text", "export"},
    "huggingface": {"layers", "models", "text", "adapters", "huggingface"},
}

# Where TensorFlow itself may be imported.
TENSORFLOW_PLACES = re.compile(
    r"keras_bigmodel\.(text|export|generation\.tensorflow)(\b|_)"
)

SECTIONS = (
    "Args:",
    "Call arguments:",
    "Input shape:",
    "Output shape:",
    "Masking:",
    "Precision:",
    "Returns:",
    "Raises:",
    "Example:",
    "References:",
)


def public_modules():
    """The package, its rooms and what they publish as modules."""
    modules = [keras_bigmodel]
    for module in modules:
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.ismodule(value) and value not in modules:
                modules.append(value)
    return modules


def public_objects():
    """Public classes and functions, each with the shortest name it has."""
    found = {}
    for module in public_modules():
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                label = f"{module.__name__}.{name}"
                if len(label) < len(found.get(value, label + " ")):
                    found[value] = label
    return sorted(((label, value) for value, label in found.items()))


def module_name(path: pathlib.Path, root: pathlib.Path) -> str:
    """The dotted name of the module that `path` holds."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(source: str) -> set[str]:
    """Everything a source imports, as dotted names; relative ones lead '.'."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            names.update(_imported_by_call(node))
    return names


def _imported_by_call(node: ast.Call) -> set[str]:
    """The name in `importlib.import_module("name")` and `__import__`."""
    called = getattr(node.func, "attr", getattr(node.func, "id", None))
    if called not in ("import_module", "__import__") or not node.args:
        return set()
    name = node.args[0]
    return {str(name.value)} if isinstance(name, ast.Constant) else set()


def import_breaches(source: str, module: str) -> list[str]:
    """Imports of `module` that run against the direction of the design."""
    breaches = []
    room = (module.split(".") + [""])[1]
    for name in sorted(imported_names(source)):
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if name.startswith("."):
            breaches.append(f"{module} imports {name} by a relative path")
        elif top == "tensorflow" and not TENSORFLOW_PLACES.match(module):
            breaches.append(f"{module} imports {name}")
        elif room in ROOMS and top == PACKAGE and target not in ROOMS[room]:
            breaches.append(f"{module} imports {name}")
    return breaches


def mirrored_test(path: pathlib.Path, root: pathlib.Path) -> pathlib.Path:
    """Where the test of a source file belongs."""
    folder = path.relative_to(root / PACKAGE).parent
    return root / "tests" / folder / f"test_{path.stem}.py"


def section_text(text: str, section: str) -> str:
    """What stands between a section's title and the next; empty without it."""
    lines = text.splitlines()
    if section not in lines:
        return ""
    rest = lines[lines.index(section) + 1 :]
    end = next((i for i, line in enumerate(rest) if line in SECTIONS), None)
    return "\n".join(rest[:end])


def docstring(thing) -> str:
    """An object's own docstring without its indentation, or nothing.

    Not `inspect.getdoc`: one that is inherited describes something else.
    """
    return inspect.cleandoc(thing.__doc__ or "")


def docstring_breaches(
    thing, name: str, example_needed: bool = False
) -> list[str]:
    """Where a public object's docstring leaves the template."""
    text = docstring(thing)
    if not text:
        return [f"{name} has no docstring of its own"]
    breaches = []
    order = [line for line in text.splitlines() if line in SECTIONS]
    if order != sorted(order, key=SECTIONS.index):
        breaches.append(f"{name}: sections out of order: {' '.join(order)}")
    documented = section_text(text, "Args:")
    for parameter in own_parameters(thing):
        # As an entry, or in an entry that stands for several.
        named = rf"^ +[^:\n]*\b{parameter}\b[^:\n]*:|`{parameter}`"
        if not re.search(named, documented, re.MULTILINE):
            breaches.append(f"{name}: {parameter} is not under Args:")
    if example_needed and not has_example(thing):
        breaches.append(f"{name}: no Example: with code")
    return breaches


def has_example(thing) -> bool:
    """Whether a docstring has an `Example:` with code that can be run."""
    example = section_text(docstring(thing), "Example:")
    return "```python" in example or ">>> " in example


def own_parameters(thing) -> list[str]:
    """The named parameters of a function, or of a class's constructor.

    A constructor inherited from Keras is documented there, if the docstring
    names that class.
    """
    if inspect.isclass(thing):
        owner = next(c for c in thing.__mro__ if "__init__" in vars(c))
        inherited = owner.__module__.split(".")[0] in ("keras", "builtins")
        if inherited and (owner is object or owner.__name__ in thing.__doc__):
            return []
    function = thing.__init__ if inspect.isclass(thing) else thing
    # Keras wraps constructors; the written one knows its parameters.
    parameters = inspect.signature(inspect.unwrap(function)).parameters
    return [
        name
        for name, parameter in parameters.items()
        if parameter.kind
        not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and name not in ("self", "cls")
    ]


def registration_breaches(class_: type) -> list[str]:
    """What keeps a Keras class from being reloaded without custom_objects."""
    registered = keras.saving.get_registered_name(class_)
    wanted = f"{PACKAGE}>{class_.__name__}"
    if registered == wanted:
        return []
    return [f"{class_.__module__}.{class_.__name__} is not registered"]


def serialisable(class_: type, public: Collection[type]) -> bool:
    """Whether Keras would store this class by name in a saved model.

    A class that is not public and has subclasses is only their base.
    """
    if class_ not in public and class_.__subclasses__():
        return False
    return hasattr(class_, "get_config") and hasattr(class_, "from_config")


def machine_paths(text: str) -> list[str]:
    """Paths that exist on one machine only."""
    homes = re.findall(r"(?<![\w.$}/-])/(?:home|root|work|Users)/\S*", text)
    return homes + re.findall(r"\.\./shared\S*", text)
