"""Packing: nothing lost, nothing cut, documents apart, few pads."""

import numpy as np

from keras_bigmodel.text.datasets.packing import OPEN_ROWS, pack


def make_chunks(count, length, seed):
    rng = np.random.default_rng(seed)
    return [
        rng.integers(3, 97, size=size).astype(np.int32)
        for size in rng.integers(1, length + 2, size=count)
    ]


def unpack(rows):
    """Every chunk of all rows, from inputs and labels, as tuples."""
    chunks = []
    for inputs, next_ids, weights in rows:
        segments = inputs["segment_ids"]
        np.testing.assert_array_equal(weights, segments > 0)
        for segment in range(1, segments.max() + 1):
            place = segments == segment
            tokens = inputs["token_ids"][place]
            labels = next_ids[place]
            np.testing.assert_array_equal(tokens[1:], labels[:-1])
            chunks.append((tokens[0], *labels))
    return chunks


def test_every_chunk_is_in_one_segment():
    chunks = make_chunks(307, 23, 0)
    rows = list(pack(chunks, 23, 2))
    wanted = sorted(tuple(chunk) for chunk in chunks if len(chunk) > 1)
    assert sorted(map(tuple, unpack(rows))) == wanted
    padding = np.concatenate(
        [inputs["token_ids"][weights == 0] for inputs, _, weights in rows]
    )
    assert (padding == 2).all()


def test_rows_are_well_filled():
    chunks = make_chunks(3001, 128, 1)
    filled = np.mean([weights.mean() for _, _, weights in pack(chunks, 128, 0)])
    assert filled > 0.97


def test_best_fit():
    chunks = [np.arange(size) for size in (6, 9, 3)]
    rows = [
        inputs["segment_ids"].tolist() for inputs, _, _ in pack(chunks, 10, 0)
    ]
    # 2 goes beside 8, where it fits exactly, not beside 5.
    assert rows == [
        [1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 2, 2],
    ]


def test_rows_leave_before_all_is_read():
    def endless():
        while True:
            yield np.arange(6)

    row = next(pack(endless(), 7, 0))
    assert row[0]["segment_ids"].tolist() == [1] * 5 + [0] * 2
    read = iter(make_chunks(10 * OPEN_ROWS, 7, 2))
    next(pack(read, 7, 0))
    assert len(list(read)) > 3 * OPEN_ROWS
