"""What every test starts from, and which tests this machine can run."""

import importlib.util
import os
import socket

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest

pytest.register_assert_rewrite("tests.layer_checks")

collect_ignore = []
if importlib.util.find_spec("tensorflow") is None:
    # These rooms are TensorFlow's alone.
    collect_ignore += ["text", "export"]


def pytest_configure(config):
    """Lets pass what Keras itself does with NumPy 2 and TensorFlow variables.

    Every other warning stays an error.
    """
    config.addinivalue_line(
        "filterwarnings",
        "ignore:__array__ implementation doesn't accept a copy keyword:"
        "DeprecationWarning:keras",
    )


@pytest.fixture(autouse=True)
def _fresh_keras():
    """Gives each test the same seeds, names and dtype policy."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1234)
    yield
    keras.config.set_dtype_policy("float32")


def _missing_gpu():
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return not tf.config.list_physical_devices("GPU")
    return not any("gpu" in name for name in keras.distribution.list_devices())


def _missing_network():
    try:
        socket.create_connection(("huggingface.co", 443), timeout=2).close()
    except OSError:
        return True
    return False


def _missing_tensorflow():
    return keras.backend.backend() != "tensorflow"


_NEEDS = {
    "gpu": (_missing_gpu, "no GPU on this machine"),
    "network": (_missing_network, "no network: huggingface.co not reached"),
    "tensorflow": (_missing_tensorflow, "the Keras backend is not TensorFlow"),
}


def pytest_collection_modifyitems(items):
    """Skips tests whose needs are not met, saying what is missing."""
    for marker, (is_missing, reason) in _NEEDS.items():
        marked = [item for item in items if item.get_closest_marker(marker)]
        if marked and is_missing():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))
