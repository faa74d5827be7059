"""Vectors for the segments of a text."""

import numpy as np
import pytest

from keras_bigmodel.layers import SegmentEmbedding
from tests.layer_checks import check_layer


def test_all_checks():
    def reference(x, segment_ids, weights):
        return x + weights["embeddings"][segment_ids]

    generator = np.random.default_rng(0)
    check_layer(
        SegmentEmbedding,
        {"num_segments": 3},
        {
            "x": generator.normal(size=(2, 5, 7)),
            "segment_ids": np.array(
                [[0, 0, 1, 2, 2], [2, 1, 1, 0, 0]], dtype="int32"
            ),
        },
        (2, 5, 7),
        lambda inputs, weights: reference(**inputs, weights=weights),
    )


def test_no_segments_are_refused():
    with pytest.raises(ValueError, match="Received: num_segments=0"):
        SegmentEmbedding(0)
