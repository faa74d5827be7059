import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")

from keras_bigmodel.generation import tensorflow_parts as parts  # noqa: E402
from keras_bigmodel.layers.decoding import DecodingScope  # noqa: E402

MEGABYTE = 2**20


def numbers(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return values.astype("float32")


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((768, 768), 4 * MEGABYTE, 1),
        ((768, 768), 2 * MEGABYTE, 2),
        ((768, 3072), 2 * MEGABYTE, 6),
        ((1024, 4096), MEGABYTE, 16),
        ((1024, 3072), MEGABYTE, 16),
        ((3072, 768), MEGABYTE, 12),
        # Inputs that two does not divide, and outputs that would be copied.
        ((769, 768), MEGABYTE, 1),
        ((768, 770), MEGABYTE, 1),
    ],
)
def test_number_of_parts(shape, size, expected):
    assert parts.num_parts(*shape, size) == expected


@pytest.mark.parametrize("count", [1, 4])
def test_parts_give_the_whole_product(count):
    x, weights = numbers(3, 12), numbers(12, 16, seed=1)
    product = tf.function(
        lambda x, w: parts.parted_product(x, w, count),
        input_signature=[
            tf.TensorSpec([None, 12], tf.float32),
            tf.TensorSpec([12, 16], tf.float32),
        ],
    )
    expected = x.astype("float64") @ weights
    np.testing.assert_allclose(product(x, weights), expected, atol=1e-5)
    graph = product.get_concrete_function().graph
    number = sum(op.type == "MatMul" for op in graph.get_operations())
    assert number == count


def test_number_of_cores(monkeypatch):
    threading = parts.tf.config.threading
    monkeypatch.setattr(threading, "get_inter_op_parallelism_threads", int)
    monkeypatch.setattr(parts.os, "sched_getaffinity", lambda process: {0, 3})
    assert parts.num_cores() == 2
    monkeypatch.delattr(parts.os, "sched_getaffinity")
    monkeypatch.setattr(parts.os, "cpu_count", lambda: 6)
    assert parts.num_cores() == 6
    monkeypatch.setattr(
        threading, "get_inter_op_parallelism_threads", lambda: 3
    )
    assert parts.num_cores() == 3


def test_parts_follow_one_another_in_lanes():
    @tf.function
    def product(x, w):
        lanes = parts.Lanes(2)
        first = parts.parted_product(x, w, 6, lanes=lanes)
        # What waits in another graph cannot be waited for.
        second = tf.cond(
            x[0, 0] > 0,
            lambda: parts.parted_product(x, w, 6, lanes=lanes),
            lambda: 2 * first,
        )
        return first + second

    x, weights = numbers(3, 12) + 9, numbers(12, 16, seed=1)
    expected = 2 * x.astype("float64") @ weights
    found = product(tf.constant(x), tf.constant(weights))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    graph = product.get_concrete_function(
        tf.constant(x), tf.constant(weights)
    ).graph
    products = [op for op in graph.get_operations() if op.type == "MatMul"]
    waited_for = [op.control_inputs for op in products]
    one, two = [products[0]], [products[1]]
    # The last of each lane may begin with the one before it.
    assert waited_for == [[], [], one, two, one, two]


def test_weights_are_read_beside_the_products_before():
    first, second = (tf.Variable(numbers(8, 16, seed=i)) for i in range(2))

    @tf.function
    def products(x):
        with DecodingScope(8):
            found = [
                parts.parted_product(x, parts.read(variable), 2)
                for variable in (first, second)
            ]
            # Another graph cannot wait for what is in this one.
            more = tf.cond(
                x[0, 0] > 0,
                lambda: parts.parted_product(x, parts.read(first), 2),
                lambda: found[0],
            )
        return tf.add_n([*found, more])

    x = tf.constant(numbers(3, 8)) + 9
    expected = x @ (2 * first + second)
    np.testing.assert_allclose(products(x), expected, rtol=1e-4)
    operations = products.get_concrete_function(x).graph.get_operations()
    reads = [op for op in operations if op.type == "ReadVariableOp"]
    began = [op for op in operations if op.type == "MatMul"][0]
    assert [op.control_inputs for op in reads] == [[], [began]]


@pytest.mark.parametrize("count", [1, 2, 4, 8, 3])
def test_pieces_come_as_they_were_put_together(count):
    x = numbers(3, 24)

    @tf.function
    def pieces(x):
        with DecodingScope(8):
            whole = parts.put_together(tf.split(x, 4, axis=1))
            return parts.pieces_of(whole, count)

    for found, piece in zip(pieces(x), np.split(x, count, 1), strict=True):
        np.testing.assert_array_equal(found, piece)
    graph = pieces.get_concrete_function(x).graph
    cuts = sum(op.type == "Split" for op in graph.get_operations())
    assert cuts == (1 if count in (1, 2, 4) else 2)


@pytest.mark.parametrize("size", [11, 4096, 5003])
@pytest.mark.parametrize("rows", [1, 4, 9, 65])
@pytest.mark.parametrize("known", [False, True])
def test_any_table_and_number_of_rows(size, rows, known):
    hidden, table = numbers(rows, 8), numbers(size, 8, seed=1)
    bounds = (rows, rows) if known else parts.ANY_ROWS
    score = tf.function(
        lambda hidden, table: parts.product_with_table(hidden, table, bounds),
        input_signature=[
            tf.TensorSpec([None, 8], tf.float32),
            tf.TensorSpec([size, 8], tf.float32),
        ],
    )
    expected = hidden.astype("float64") @ table.T
    np.testing.assert_allclose(score(hidden, table), expected, atol=1e-5)


def test_the_size_of_a_cores_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "_CACHE_OF_A_CORE", tmp_path)
    assert parts.part_bytes() == parts.PART_BYTES
    for text, expected in (
        ("2048K\n", 2 * MEGABYTE),
        ("256K\n", parts.PART_BYTES),
        ("none\n", parts.PART_BYTES),
    ):
        (tmp_path / "size").write_text(text)
        assert parts.part_bytes() == expected
