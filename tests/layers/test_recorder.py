import numpy as np
import pytest

import keras_bigmodel as kbm
from keras_bigmodel.layers import AttentionRecorder
from tests.layer_case import to_numpy

TOKENS = np.array([[3, 1, 4, 1, 5]], "int32")


@pytest.fixture(scope="module")
def model():
    return kbm.models.decoder_lm(7, 8, 2, 3, 6, num_key_value_heads=1)


def test_every_layer_is_recorded_and_the_output_unchanged(model):
    plain = to_numpy(model(TOKENS))
    with AttentionRecorder() as recorder:
        recorded = to_numpy(model(TOKENS))
    np.testing.assert_array_equal(recorded, plain)
    assert len(recorder.probabilities) == 2
    for name in recorder.probabilities:
        shares = recorder[name]
        assert shares.shape == (1, 3, 5, 5)
        np.testing.assert_allclose(shares.sum(axis=-1), 1.0, atol=1e-6)
        assert (shares[..., *np.triu_indices(5, 1)] == 0).all()
    assert AttentionRecorder.current() is None


def test_uses_of_a_layer_are_kept_apart():
    layer = kbm.layers.SelfAttention(2, name="attention")
    x = np.ones((1, 3, 4), "float32")
    with AttentionRecorder() as recorder:
        layer(layer(x))
    assert list(recorder.probabilities) == ["attention", "attention:1"]


def test_unknown_names_are_told(model):
    with AttentionRecorder() as recorder:
        model(TOKENS)
    with pytest.raises(ValueError, match="name='other', recorded: .'decoder"):
        recorder["other"]


def test_the_picture_has_a_panel_a_head(model):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    with AttentionRecorder() as recorder:
        model(TOKENS)
    name = next(iter(recorder.probabilities))
    figure = recorder.plot(name, list("abcde"))
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in drawn] == [
        "head 0",
        "head 1",
        "head 2",
    ]
    np.testing.assert_allclose(
        drawn[1].images[0].get_array(), recorder[name][0, 1], atol=1e-6
    )
    labels = [label.get_text() for label in drawn[0].get_yticklabels()]
    assert labels == list("abcde")
    pyplot.close(figure)
