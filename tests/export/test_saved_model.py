import os

import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from keras_bigmodel.export import eight_bit
from keras_bigmodel.export.signatures import loop
from keras_bigmodel.generation import tensorflow_packing


def test_the_folder_is_a_numbered_version(language_model):
    assert language_model.folder.name == "1"
    assert os.listdir(language_model.folder.parent) == ["1"]
    names = os.listdir(language_model.folder)
    assert {"saved_model.pb", "variables", "assets.extra"} <= set(names)
    kept = language_model.folder / "assets.extra" / "proof.md"
    table = kept.read_text()
    for name in ("serving_default", "generate", "generate_ids", "score"):
        assert f"| {name} |" in table
    found = [line.split("|")[2].strip() for line in table.split("\n")[-7:-1]]
    assert found == ["none"] * 6


def test_training_leaves_nothing_in_the_folder(tmp_path):
    model = kbm.models.decoder_lm(13, 19, 1, 2, 8)
    model.compile("adam", "sparse_categorical_crossentropy")
    ids = tf.zeros([2, 5], tf.int32)
    model.fit(ids, ids, verbose=0)
    folder = kbm.export_saved_model(
        model, tmp_path, max_new_tokens=3, prove=False
    )
    weights = 4 * model.count_params()
    data = folder / "variables" / "variables.data-00000-of-00001"
    assert weights <= data.stat().st_size < weights + 8000
    names = [
        n
        for n, _ in tf.train.list_variables(str(folder / "variables/variables"))
    ]
    assert not [name for name in names if "adam" in name.lower()]


@pytest.mark.parametrize(
    ("weights", "part"), [("bfloat16", 0.5), ("int8", 0.25)]
)
def test_smaller_weights_make_a_smaller_folder(tmp_path, weights, part):
    if weights == "int8" and not eight_bit.has_kernel():
        pytest.skip("this build of TensorFlow has no _QuantizedMatMul")
    model = kbm.models.decoder_lm(259, 29, 1, 4, 128)
    folder = kbm.export_saved_model(
        model,
        tmp_path / "small",
        max_new_tokens=5,
        weights=weights,
        training_data="nothing",
        licence="MIT",
    )
    data = folder / "variables" / "variables.data-00000-of-00001"
    size = data.stat().st_size / (4 * model.count_params())
    assert part <= size < 1.1 * part
    proof = (folder / "assets.extra" / "proof.md").read_text()
    kernels = "_QuantizedMatMul" if weights == "int8" else "none"
    assert f"| ops of x86-64 Linux alone | {kernels} |" in proof
    card = (folder / "assets.extra" / "model_card.md").read_text()
    assert f"| weights | {weights} |" in card and proof.strip() in card
    assert ("x86-64" in card.split("runs on")[1].split("\n")[0]) == (
        weights == "int8"
    )


def test_xla_compiles_on_request(tmp_path):
    model = kbm.models.decoder_lm(259, 15, 1, 2, 8, pad_id=256)
    tokenizer = kbm.text.ByteTokenizer()
    folder = kbm.export_saved_model(
        model, tmp_path / "m", tokenizer, max_new_tokens=3, jit_compile=True
    )
    graph = (folder / "saved_model.pb").read_bytes()
    assert b"_XlaMustCompile" in graph
    assert "generate" in (folder / "assets.extra/proof.md").read_text()


def test_cores_are_told(tmp_path):
    model = kbm.models.decoder_lm(259, 15, 1, 2, 8, pad_id=256)
    tokenizer = kbm.text.ByteTokenizer()
    options = {"max_new_tokens": 3, "prove": True}
    kbm.export_saved_model(model, tmp_path / "m", tokenizer, cores=2, **options)
    for cores in (0, -1):
        with pytest.raises(ValueError, match=f"Received: cores={cores}"):
            kbm.export_saved_model(
                model, tmp_path / "n", tokenizer, cores=cores, **options
            )
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize("packs", [False, True])
def test_blocks_take_the_place_of_kernels(packs, tmp_path, monkeypatch):
    if packs and not tensorflow_packing.is_available():
        pytest.skip("this TensorFlow has no packed products")
    monkeypatch.setattr(loop, "part_bytes", lambda: 2**14)
    model = kbm.models.decoder_lm(259, 29, 1, 4, 128, pad_id=256)
    tokenizer = kbm.text.ByteTokenizer()
    folder = kbm.export_saved_model(
        model,
        tmp_path / "m",
        tokenizer,
        max_new_tokens=5,
        pack_weights=packs,
        warmup_batch_sizes=(1, 5),
    )
    kept = tf.train.list_variables(str(folder / "variables/variables"))
    shapes = [shape for _, shape in kept]
    # Of four projections, and of the feed-forward network.
    assert shapes.count([4, 32, 128]) == 4
    assert [16, 16, 256] in shapes and [16, 32, 128] in shapes
    assert [128, 128] not in shapes and [128, 512] not in shapes
    weights = 4 * model.count_params()
    data = folder / "variables" / "variables.data-00000-of-00001"
    assert data.stat().st_size < weights + 16000


@pytest.mark.parametrize("option", ["jit_compile", "pack_weights", "cores"])
def test_only_loops_are_compiled(option, tmp_path):
    model = kbm.models.cnn_classifier((4, 4, 1), 2)
    if option == "pack_weights" and not tensorflow_packing.is_available():
        pytest.skip("this TensorFlow has no packed products")
    with pytest.raises(ValueError, match="decoding loop.*image_classifier"):
        kbm.export_saved_model(model, tmp_path / "m", **{option: True})
    assert not (tmp_path / "m").exists()


def test_weights_are_packed_on_request(tmp_path, monkeypatch):
    if not tensorflow_packing.is_available():
        pytest.skip("this TensorFlow has no packed products")
    model = kbm.models.decoder_lm(259, 15, 1, 2, 8, pad_id=256)
    tokenizer = kbm.text.ByteTokenizer()
    options = {"max_new_tokens": 3, "pack_weights": True}
    folder = kbm.export_saved_model(model, tmp_path / "m", tokenizer, **options)
    proof = (folder / "assets.extra" / "proof.md").read_text()
    kernel = tensorflow_packing.KERNEL
    assert f"| ops of x86-64 Linux alone | {kernel} |" in proof
    card = (folder / "assets.extra" / "model_card.md").read_text()
    assert "twice the memory" in card
    for wrong in ({"weights": "bfloat16"}, {"jit_compile": True}):
        with pytest.raises(ValueError, match="packed as float32 and without"):
            kbm.export_saved_model(
                model, tmp_path / "n", tokenizer, **options, **wrong
            )
    monkeypatch.setattr(tensorflow_packing, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no products with packed weights"):
        kbm.export_saved_model(model, tmp_path / "n", tokenizer, **options)
    assert not (tmp_path / "n").exists()


def test_a_bad_path_is_refused(tmp_path):
    model = kbm.models.lstm_lm(13, 1, 3)
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match="is a file.*Received: path="):
        kbm.export_saved_model(model, file)
    assert file.read_text() == "mine"


def test_a_proof_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*unused):
        raise RuntimeError("not equal")

    monkeypatch.setattr(kbm.export.saved_model, "prove_folder", fail)
    model = kbm.models.cnn_classifier((8, 8, 1), 3, (2,))
    with pytest.raises(RuntimeError, match="not equal"):
        kbm.export_saved_model(model, tmp_path / "name")
    assert os.listdir(tmp_path) == []
