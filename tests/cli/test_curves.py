import sys

import numpy as np
import pytest

from keras_bigmodel.cli.curves import draw_curves
from keras_bigmodel.cli.training import Curves

pytestmark = pytest.mark.tensorflow
image = pytest.importorskip("matplotlib.image", reason="needs matplotlib")

CURVES = Curves(30, [0.5, 1.0, 1.5], [5.0, 4.0, 3.5], [4.5, 3.8, 3.4])


def draw(path, curves=CURVES, **options):
    return draw_curves(curves, path, tokens_per_byte=(0.3, 0.5), **options)


def test_picture_shows_both_curves_and_the_references(tmp_path):
    file = draw(tmp_path / "new" / "curves.png", title="A model")
    picture = image.imread(file)
    assert picture.shape == (750, 1350, 4)
    plain = (picture[..., :3] == 1).all(-1).mean()
    assert 0.8 < plain < 0.99
    more = draw(tmp_path / "more.png", title="A model", references={"xz": 2.5})
    brown = np.abs(image.imread(more)[..., :3] - (0.706, 0.325, 0.035)) < 0.02
    assert brown.all(-1).sum() > 300


def test_held_out_text_may_be_missing(tmp_path):
    assert draw(tmp_path / "a.png", Curves(3, [0.5], [5.0], [])).exists()


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no rounds to draw.*Received: curves"):
        draw(tmp_path / "a.png", Curves())


def test_missing_matplotlib_is_explained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match=r"pip install 'keras-bigmodel\[plot"):
        draw(tmp_path / "a.png")
