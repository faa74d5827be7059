import numpy as np
import pytest
import tensorflow as tf

from keras_bigmodel.text.lookup import GraphArray, IntegerTable, StringTable


@pytest.mark.parametrize("num", [0, 1, 2, 101, 20_011])
def test_integers_are_found(num):
    rng = np.random.default_rng(num)
    keys = np.unique(rng.integers(0, 2**62, num))
    values = rng.integers(-(2**31), 2**31, len(keys))
    table = IntegerTable(keys, values, default=-7)
    asked = np.concatenate([keys, keys + 1, [0, -1, 2**63 - 1]])
    known = dict(zip(keys.tolist(), values.tolist(), strict=True))
    expected = [known.get(key, -7) for key in asked.tolist()]
    found = tf.function(table)(tf.constant(asked))
    assert found.dtype == tf.int32
    assert found.numpy().tolist() == expected


def test_dense_keys_are_found():
    table = IntegerTable(np.arange(10_007), np.arange(10_007))
    asked = tf.constant([[0, 10_006], [10_007, 5]], tf.int64)
    assert table(asked).numpy().tolist() == [[0, 10_006], [-1, 5]]


def test_equal_keys_are_refused():
    with pytest.raises(ValueError, match="must differ. Received: 3 keys, 2 "):
        IntegerTable(np.array([5, 5, 7]), np.arange(3))


def test_strings_are_found():
    strings = [b"a", b"", "\u4e2d".encode(), b"\xff", b"ab"]
    table = StringTable(strings, np.arange(2, 7), default=-3)
    asked = tf.constant([*reversed(strings), b"b", b"a ", b"\xfe"])
    found = tf.function(table)(asked).numpy().tolist()
    assert found == [6, 5, 4, 3, 2, -3, -3, -3]
    empty = StringTable([], np.array([], np.int32))
    assert empty(tf.constant(["", "a"])).numpy().tolist() == [-1, -1]


def test_graphs_share_one_constant():
    array = GraphArray(np.arange(3))
    inside = []

    @tf.function
    def run():
        inside.append(array.tensor())
        return array.tensor() + 1

    run()
    assert inside[0] is array.tensor()
    assert len(run.get_concrete_function().captured_inputs) == 1
