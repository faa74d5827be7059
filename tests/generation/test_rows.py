import numpy as np
import pytest

from keras_bigmodel.generation.rows import Row, Stops


class Letters:
    end_id = 26

    def decode(self, rows):
        return ["".join(chr(97 + i) for i in row) for row in rows]


def made(text, finished=False):
    ids = [ord(letter) - 97 for letter in text]
    return {
        "tokens": np.array(ids + [0] * (9 - len(ids))),
        "counts": np.int32(len(ids)),
        "finished": np.bool_(finished),
    }


def test_what_could_begin_a_stop_is_held_back():
    row = Row(Letters(), Stops(texts=("stop", "top")))
    assert row.take(made("abst")) == "ab"
    assert row.take(made("os")) == "sto"
    assert row.take(made("topper")) == ""
    assert (row.text, row.reason, row.is_finished) == ("absto", "stop", True)
    assert row.take(made("more")) == ""
    assert row.end() == ""


def test_what_was_held_back_comes_at_the_end():
    row = Row(Letters(), Stops(texts=("stop",)))
    assert row.take(made("abst", finished=True)) == "abst"
    assert row.end() == ""
    row = Row(Letters(), Stops(texts=("stop",)))
    row.take(made("abst"))
    assert row.end() == "st"


def test_stops_are_read():
    stops = Stops.read([3, "x", np.int32(4)], Letters())
    assert stops == Stops(frozenset({3, 4, 26}), ("x",))
    assert Stops.read(None, None) == Stops()
    assert Stops.read("x", Letters()).texts == ("x",)
    assert stops.find("abxc") == 2
    assert stops.find("abc") is None
    with pytest.raises(ValueError, match="Received: stop=True"):
        Stops.read([True], None)
