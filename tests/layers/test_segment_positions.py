import numpy as np

from keras_bigmodel.layers import SegmentPositions
from tests.layer_case import to_numpy


def test_positions_start_again_with_each_document():
    segments = np.array([[1, 1, 1, 2, 2, 3, 0], [4, 4, 4, 4, 4, 4, 4]])
    found = to_numpy(SegmentPositions()(segments))
    assert found.tolist() == [[0, 1, 2, 0, 1, 0, 0], [0, 1, 2, 3, 4, 5, 6]]
    assert found.dtype == "int32"


def test_a_number_may_come_again():
    found = to_numpy(SegmentPositions()(np.array([[1, 1, 2, 1, 1]])))
    assert found.tolist() == [[0, 1, 0, 0, 1]]


def test_configs_come_back():
    layer = SegmentPositions(name="places")
    again = SegmentPositions.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
