"""The design's rules on imports, names, docstrings, registration, tests."""

import importlib
import inspect
import pathlib
import pkgutil
import subprocess
from importlib.util import find_spec

import keras
import pytest

import keras_bigmodel
from tests import architecture

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "keras_bigmodel").rglob("*.py"))

pytestmark = pytest.mark.tensorflow


def names(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


def all_classes():
    """Every class that a module of the package defines."""
    for info in pkgutil.walk_packages(
        keras_bigmodel.__path__, "keras_bigmodel."
    ):
        if info.name.endswith("__main__"):
            continue
        if info.name.endswith("jax_program") and not find_spec("jax"):
            continue
        module = importlib.import_module(info.name)
        for _, value in inspect.getmembers(module, inspect.isclass):
            if value.__module__ == info.name:
                yield value


@pytest.mark.parametrize("path", SOURCES, ids=names(SOURCES))
def test_imports_follow_the_design(path):
    module = architecture.module_name(path, ROOT)
    assert architecture.import_breaches(path.read_text(), module) == []


@pytest.mark.parametrize(
    ("module", "source", "breach"),
    [
        ("layers.a", "from keras_bigmodel.models import b", "models.b"),
        ("layers.a", "import keras_bigmodel as kbm", "keras_bigmodel"),
        ("layers.a", "def f():\n  import tensorflow as tf", "tensorflow"),
        ("layers.a", "from . import b", "relative"),
        ("models.a", "from keras_bigmodel import generation", "generation"),
        ("generation.a", "import keras_bigmodel.models.b", "models.b"),
        ("generation.a", "from tensorflow import nest", "tensorflow.nest"),
        ("text.a", "from keras_bigmodel.layers import b", "layers.b"),
        ("export.a", "from keras_bigmodel.models import b", "models.b"),
        ("huggingface.a", "import tensorflow.math", "tensorflow.math"),
        ("cli.a", "import_module('tensorflow')", "tensorflow"),
        ("cli.a", "importlib.import_module('tensorflow')", "tensorflow"),
    ],
)
def test_import_breaches_are_found(module, source, breach):
    (found,) = architecture.import_breaches(source, f"keras_bigmodel.{module}")
    assert breach in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("generation.tensorflow_loop", "import tensorflow as tf"),
        ("generation.tensorflow.loop", "import tensorflow as tf"),
        ("text.byte", "import tensorflow as tf"),
        ("export.a", "from keras_bigmodel.text import b"),
        ("models.a", "from keras_bigmodel.layers import b"),
        ("cli.a", "import keras_bigmodel as kbm"),
        ("layers.a", "from keras import ops\nimport tensorflow_like"),
    ],
)
def test_lawful_imports_pass(module, source):
    module = f"keras_bigmodel.{module}"
    assert architecture.import_breaches(source, module) == []


def test_modules_are_named_by_their_place():
    root = pathlib.Path("here")
    name = architecture.module_name
    assert name(root / "keras_bigmodel/a/b.py", root) == "keras_bigmodel.a.b"
    assert name(root / "keras_bigmodel/__init__.py", root) == "keras_bigmodel"


@pytest.mark.parametrize("room", sorted(architecture.ROOMS))
def test_every_room_publishes_names_that_exist(room):
    module = importlib.import_module(f"keras_bigmodel.{room}")
    assert module.__doc__, f"{room}/__init__.py has no docstring"
    assert module.__all__, f"{room}/__init__.py publishes nothing"
    assert len(set(module.__all__)) == len(module.__all__)
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert missing == []


@pytest.mark.parametrize(
    ("name", "value"),
    architecture.public_objects(),
    ids=lambda v: v if type(v) is str else "",
)
def test_docstrings_follow_the_template(name, value):
    example_needed = name.startswith(
        ("keras_bigmodel.layers.", "keras_bigmodel.models.")
    )
    assert architecture.docstring_breaches(value, name, example_needed) == []


class Documented:
    """Adds one.

    Args:
        first: a number.
        second, third: two more.

    Example:
    ```python
    Documented(1, 2, 3)
    ```
    """

    def __init__(self, first, second, third=3, **kwargs):
        pass


class Forgetful:
    """Adds one.

    Example: see elsewhere.

    Raises:
        ValueError: never.

    Args:
        first: a number.
    """

    def __init__(self, first, second):
        pass


class Silent(Documented):
    pass


class KerasLike(keras.layers.Dense):
    """Takes what `keras.layers.Dense` takes.

    Example:
        >>> KerasLike(3)
    """


class KerasLike2(keras.layers.Dense):
    """Does not say what it takes."""


def test_docstring_breaches_are_found():
    def breaches(class_):
        return architecture.docstring_breaches(
            class_, class_.__name__, example_needed=True
        )

    assert breaches(Documented) == []
    assert breaches(KerasLike) == []
    assert "KerasLike2: units is not under Args:" in breaches(KerasLike2)
    assert breaches(Silent) == ["Silent has no docstring of its own"]
    assert breaches(Forgetful) == [
        "Forgetful: sections out of order: Raises: Args:",
        "Forgetful: second is not under Args:",
        "Forgetful: no Example: with code",
    ]


def test_every_keras_class_is_registered():
    public = {value for _, value in architecture.public_objects()}
    breaches = [
        breach
        for class_ in all_classes()
        if architecture.serialisable(class_, public)
        for breach in architecture.registration_breaches(class_)
    ]
    assert breaches == []


def test_an_unregistered_class_is_found():
    class Stranger(keras.layers.Layer):
        pass

    class Heir(Stranger):
        pass

    assert architecture.serialisable(Heir, {Heir})
    assert architecture.serialisable(Stranger, {Stranger})
    assert not architecture.serialisable(Stranger, {Heir})
    assert not architecture.serialisable(Documented, {Documented})
    assert len(architecture.registration_breaches(Stranger)) == 1


def test_every_source_has_its_test():
    missing = [
        str(architecture.mirrored_test(path, ROOT).relative_to(ROOT))
        for path in SOURCES
        if not path.stem.startswith("__")
        and not architecture.mirrored_test(path, ROOT).exists()
    ]
    assert missing == []


def test_no_file_names_a_place_of_one_machine():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("needs a git checkout to know which files are ours")
    breaches = []
    for name in filter(None, listed.stdout.split("\0")):
        try:
            text = (ROOT / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # a picture, or a file just removed
        found = architecture.machine_paths(text)
        breaches += [f"{name}: {path}" for path in found]
    assert breaches == []


def test_places_of_one_machine_are_found():
    for home in ("home", "root", "work", "Users"):
        assert architecture.machine_paths(f"see /{home}/me/x") == [
            f"/{home}/me/x"
        ]
        assert architecture.machine_paths(f"$PWD/{home}/x tests/{home}/y") == []
    assert architecture.machine_paths("see ../" + "shared/x.md")
