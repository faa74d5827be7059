import keras_bigmodel as kbm
from keras_bigmodel.export.model_card import model_card


def test_the_card_tells_what_is_known(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 300_000)
    model = kbm.models.decoder_lm(29, 31, 1, 2, 8)
    card = model_card(
        "tiny", model, tmp_path, "int8", "old books", "MIT", "| the proof |"
    )
    assert card.startswith("# tiny\n")
    for line in (
        f"| parameters | {model.count_params():,} |",
        "| context | 31 tokens |",
        "| inputs | `token_ids` int32 (None, None) |",
        "| weights | int8 |",
        "| weights and graph on disk | 0.3 MB |",
        "| trained on | old books |",
        "| licence | MIT |",
        "x86-64 Linux",
        "a token |",
        "| the proof |",
    ):
        assert line in card


def test_what_is_not_known_is_said(tmp_path):
    model = kbm.models.cnn_classifier((8, 8, 1), 3, (2,))
    card = model_card("cnn", model, tmp_path, "float32", None, None, None)
    assert "| trained on | not told |" in card
    assert "| licence | not told |" in card
    assert "| context | unlimited |" in card
    assert "operations an input |" in card
    assert "Nothing: the export was asked not to prove itself." in card
