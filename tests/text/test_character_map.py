"""Characters replaced in graphs."""

import numpy as np
import tensorflow as tf

from keras_bigmodel.text.character_map import (
    ITSELF,
    NUM_CODES,
    CharacterMap,
    PagedTable,
    each_normalized,
    known_codes,
)


def test_paged_table():
    values = np.arange(NUM_CODES + 3) % 251
    values[512:1024] = 7
    table = PagedTable(values)
    codes = np.array([0, 300, 600, 1023, NUM_CODES - 1, NUM_CODES + 2])
    found = table(tf.constant(codes, tf.int32))
    assert found.numpy().tolist() == values[codes].tolist()


def test_replacements():
    mapping = CharacterMap(
        {97: [98], 99: [], 100: [32, 100, 32], 101: [101], NUM_CODES: [1, 2]}
    )
    rows = tf.ragged.constant(
        [[97, 99, 100, 5], [], [99], [101, NUM_CODES, 97]], tf.int32
    )
    wanted = [[98, 32, 100, 32, 5], [], [], [101, 1, 2, 98]]
    assert mapping(rows).to_list() == wanted
    in_graph = tf.function(mapping)(rows)
    assert in_graph.to_list() == wanted
    codes = tf.constant([97, 98, 99, 101])
    assert mapping.changes(codes).numpy().tolist() == [True, False, True, True]
    nothing = tf.ragged.constant([[]], tf.int32)
    assert mapping(nothing).to_list() == [[]]


def test_the_library_is_asked_about_every_character():
    found = each_normalized(lambda text: text.replace("a", "bc").upper())
    assert found[ord("a")] == [ord("B"), ord("C")]
    assert found[ord("ß")] == [ord("S")] * 2
    assert ord("A") not in found and ITSELF not in known_codes()
    assert 0xFFFF in known_codes() and 0xE0001 in known_codes()
    assert 0xD800 not in known_codes()
    private = each_normalized(lambda text: text.replace("\U000f0000", ""))
    assert sorted(private) == list(range(0xF0000, 0xFFFFE))
