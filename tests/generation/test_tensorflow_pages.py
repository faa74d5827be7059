"""Checks that weights move into large pages and stay what they are."""

import mmap
import pathlib
import re

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from keras_bigmodel.generation import tensorflow_pages as pages  # noqa: E402

SIZE = 8 * pages.PAGE_BYTES


def huge_bytes():
    """Return the bytes of this process that lie in large pages."""
    text = pathlib.Path("/proc/self/smaps_rollup").read_text()
    return 1024 * int(re.search(r"AnonHugePages: +(\d+) kB", text)[1])


@pytest.fixture
def available():
    if not pages._are_available():
        pytest.skip("No such pages for the asking here.")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_weights_keep_their_values(available, dtype):
    values = np.random.default_rng(0).integers(-100, 100, SIZE)
    variable = tf.Variable(tf.cast(values, dtype))
    pages.use_huge_pages([variable]).join()
    np.testing.assert_array_equal(tf.cast(variable, "int64"), values)
    variable.assign_add(tf.ones_like(variable))
    np.testing.assert_array_equal(tf.cast(variable, "int64"), values + 1)


def test_weights_lie_in_large_pages(available):
    variable = tf.Variable(tf.ones([SIZE], tf.int8))
    before = huge_bytes()
    pages.use_huge_pages([variable]).join()
    after = huge_bytes()
    if after == before == 0:
        pytest.skip("This kernel moves pages by and by, or not at all.")
    # Pages that lie within the weights alone are surely moved.
    assert after >= SIZE - 2 * pages.PAGE_BYTES


def test_what_came_since_lies_in_large_pages_too(available):
    before = pages.pages_in_use()
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    came = np.frombuffer(mmap.mmap(-1, SIZE, flags=private), "int8")
    came[:] = 1
    own = set(pages._pages_of(came)[1:-1])
    assert len(own) >= 6 and not own & before
    assert own <= pages.pages_in_use()
    assert pages.use_huge_pages([], pages.pages_in_use()) is None
    huge = huge_bytes()
    pages.use_huge_pages([], before).join()
    if huge_bytes() == huge == 0:
        pytest.skip("This kernel moves pages by and by, or not at all.")
    assert huge_bytes() >= huge + len(own) * pages.PAGE_BYTES
    assert came.all()


def test_small_weights_stay():
    assert pages.use_huge_pages([tf.Variable(tf.ones([16]))]) is None
    assert pages.use_huge_pages([]) is None


def test_nothing_is_done_where_the_machine_says_never(monkeypatch, tmp_path):
    setting = tmp_path / "enabled"
    monkeypatch.setattr(pages, "_SETTING", setting)
    variable = tf.Variable(tf.ones([SIZE], tf.int8))
    assert pages.use_huge_pages([variable], set()) is None
    assert pages.pages_in_use() == set()
    setting.write_text("always madvise [never]\n")
    assert pages.use_huge_pages([variable]) is None
