import numpy as np
import pytest
from keras import ops

from keras_bigmodel.generation import randomness


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        (
            (0xFFFFFFFF, 0xFFFFFFFF),
            (0xFFFFFFFF, 0xFFFFFFFF),
            (0x1CB996FC, 0xBB002BE7),
        ),
        (
            (0x13198A2E, 0x03707344),
            (0x243F6A88, 0x85A308D3),
            (0xC4923A9C, 0x483DF7A0),
        ),
    ],
)
def test_the_published_vectors(key, counter, expected):
    """Known answers of Threefry-2x32-20 in Random123's kat_vectors."""

    def word(value):
        return ops.convert_to_tensor([value], "uint32")

    made = randomness.threefry(tuple(map(word, key)), tuple(map(word, counter)))
    assert tuple(int(ops.convert_to_numpy(x)[0]) for x in made) == expected


def test_uniforms_are_uniform():
    seeds = np.arange(-500, 500, dtype="int32")[:, None]
    counters = np.arange(50, dtype="int32")[None, :]
    u = ops.convert_to_numpy(randomness.uniforms(seeds, counters))
    assert u.shape == (1000, 50)
    assert 0 <= u.min() and u.max() < 1
    counts, _ = np.histogram(u, 20, (0, 1))
    # The 99.9th percentile of chi-square with 19 degrees of freedom is 43.8.
    assert ((counts - 2500) ** 2 / 2500).sum() < 43.8
    assert abs(np.corrcoef(u[:, 0], u[:, 1])[0, 1]) < 0.1
    assert abs(np.corrcoef(u[0], u[1])[0, 1]) < 0.5
