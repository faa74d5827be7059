"""The tf_model.h5 of old TensorFlow releases."""

import h5py
import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.huggingface.hdf5_file import Hdf5File, torch_name
from tests.huggingface import family_checks
from tests.huggingface.conftest import tensors_of

pytestmark = pytest.mark.tensorflow


def keras_name(name, model):
    """The path in the file, and how the array lies in it."""
    *scopes, last = name.split(".")
    numbered = "/".join(scopes).replace("h/", "h_._", 1)
    numbered = numbered.replace("layer/", "layer_._")
    if scopes[0] == "cls":
        numbered = numbered.replace("cls", "mlm___cls", 1)
    kind, change = last, np.asarray
    if any(word in scopes[-1] for word in ("ln_", "LayerNorm")):
        kind = {"weight": "gamma", "bias": "beta"}[last]
    elif scopes[-1] in ("wpe", "position_embeddings", "token_type_embeddings"):
        kind = "embeddings"
    elif scopes[-1].startswith("c_") and last == "bias":
        change = np.atleast_2d
    elif model == "tf_bert" and last == "weight" and "word" not in scopes[-1]:
        kind, change = "kernel", np.transpose
    layer = numbered.split("/")[0]
    return f"{layer}/{model}/{numbered}/{kind}:0", change


def as_keras(folder, model):
    """Puts tf_model.h5 in place of the safetensors."""
    tensors = tensors_of(folder)
    (folder / "model.safetensors").unlink()
    path = folder / "tf_model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["backend"] = "tensorflow"
        file.create_group("dropout_17")
        for name, value in tensors.items():
            place, change = keras_name(name, model)
            file[place] = change(value.astype("float32"))
    return path


@pytest.mark.parametrize(
    ("family", "variant", "model"),
    [
        ("gpt2", "plain", "tfgpt2lm_head_model"),
        ("bert", "masked", "tf_bert"),
        ("bert", "text", "tf_bert"),
        ("bert", "span", "tf_bert"),
    ],
)
def test_outputs(family, variant, model, unpack):
    folder, expected = unpack(family, variant)
    as_keras(folder, model)
    loaded, _ = kbm.huggingface.load(folder)
    for name, values in family_checks.outputs_of(loaded, expected).items():
        np.testing.assert_allclose(
            family_checks.visible_part(values, expected["mask"]),
            family_checks.visible_part(expected[name], expected["mask"]),
            atol=1e-4,
        )


@pytest.mark.parametrize(
    ("path", "name", "transposed"),
    [
        (
            "bert/tf_bert_model/bert/encoder/layer_._3/output/dense/kernel:0",
            "bert.encoder.layer.3.output.dense.weight",
            True,
        ),
        (
            "nsp___cls/tf_bert/nsp___cls/seq_relationship/bias:0",
            "cls.seq_relationship.bias",
            False,
        ),
        (
            "transformer/tfgpt2/transformer/h_._0/attn/c_attn/weight:0",
            "transformer.h.0.attn.c_attn.weight",
            False,
        ),
        ("qa_outputs/tf_bert/qa_outputs/kernel:0", "qa_outputs.weight", True),
        ("a/b/ln_f/beta:0", "ln_f.bias", False),
    ],
)
def test_names(path, name, transposed):
    assert torch_name(path.split("/")) == (name, transposed)


def change_with(change):
    def write(path):
        with h5py.File(path, "w") as file:
            change(file)

    return write


PLAIN = np.ones((3, 5), "float32")
HOSTILE = {
    "empty": lambda path: path.write_bytes(b""),
    "a text": lambda path: path.write_bytes(b"weights" * 99),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-64]),
    "signature alone": lambda path: path.write_bytes(path.read_bytes()[:9]),
    "link out": change_with(
        lambda f: f.__setitem__("a", h5py.ExternalLink("/etc/passwd", "/"))
    ),
    "soft link": change_with(lambda f: f.__setitem__("a", h5py.SoftLink("/b"))),
    "a ring of groups": change_with(lambda f: f.__setitem__("a", f["/"])),
    "compressed": change_with(
        lambda f: f.create_dataset("a/b/c", data=PLAIN, compression="gzip")
    ),
    "in pieces": change_with(
        lambda f: f.create_dataset("a/b/c", data=PLAIN, chunks=(1, 5))
    ),
    "stored elsewhere": change_with(
        lambda f: f.create_dataset(
            "a/b/c", (2,), "u1", external=[("/etc/passwd", 0, 2)]
        )
    ),
    "virtual": change_with(
        lambda f: f.create_virtual_dataset(
            "a/b/c", h5py.VirtualLayout((3, 5), "f4")
        )
    ),
    "without bytes": change_with(
        lambda f: f.create_dataset("a/b/c", (2**40,), "f4")
    ),
    "texts": change_with(lambda f: f.__setitem__("a/b/c", "text")),
    "objects": change_with(
        lambda f: f.create_dataset("a/b/c", (2,), h5py.special_dtype(vlen=int))
    ),
    "a type": change_with(
        lambda f: f.__setitem__("a/b/c", np.dtype("float32"))
    ),
    "one name twice": change_with(
        lambda f: (
            f.__setitem__("a/b/c/gamma:0", PLAIN),
            f.__setitem__("a/d/c/kernel:0", PLAIN),
        )
    ),
    "one tensor twice": change_with(
        lambda f: (
            f.__setitem__("a/b/c/gamma:0", PLAIN),
            f.__setitem__("a/b/d", f["a/b/c/gamma:0"]),
        )
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name, tmp_path):
    path = tmp_path / "tf_model.h5"
    change_with(lambda file: file.__setitem__("a/b/c/gamma:0", PLAIN))(path)
    assert list(Hdf5File(path).places) == ["c.weight"]
    HOSTILE[name](path)
    with pytest.raises(ValueError, match="Received: "):
        Hdf5File(path)


def test_mutated_files(unpack, tmp_path):
    """Whatever the bytes say, a clean ValueError or a good file."""
    content = as_keras(unpack("gpt2", "plain")[0], "tf_gpt2").read_bytes()
    generator = np.random.default_rng(0)
    path, refused = tmp_path / "tf_model.h5", 0
    for _ in range(200):
        changed = bytearray(content)
        for place in generator.integers(0, len(content), 20):
            changed[place] = generator.integers(0, 256)
        # Half of the changes are where HDF5 keeps its own notes.
        for place in generator.integers(0, 4096, 3):
            changed[place] = generator.integers(0, 256)
        path.write_bytes(changed)
        try:
            Hdf5File(path)
        except ValueError:
            refused += 1
    assert refused > 50


def test_safetensors_come_first(unpack):
    folder, _ = unpack("gpt2", "plain")
    (folder / "tf_model.h5").write_bytes(b"no HDF5")
    assert kbm.huggingface.load(folder)[0].name == "gpt2"
