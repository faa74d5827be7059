import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bigmodel as kbm
from keras_bigmodel.export.signatures.decoding import Decoder
from keras_bigmodel.export.signatures.loop import Loop
from keras_bigmodel.export.signatures.options import greedy_options
from keras_bigmodel.generation import tensorflow_packing


@pytest.mark.parametrize("jit_compile", [False, True])
def test_steps_are_the_whole_and_the_context_is_read(jit_compile):
    model = kbm.models.lstm_lm(11, 1, 5)

    def step(token_ids, context):
        return model(token_ids) + context["bias"][:, None]

    spec = tf.TensorSpec([None, 11], tf.float32)
    decoder = Decoder(step, 11, None, [], {"bias": spec}, Loop(jit_compile))
    options = greedy_options(tf.constant(2), 6)
    bias = np.random.default_rng(0).normal(size=(2, 11)).astype("float32")
    token_ids, lengths = tf.constant([[1, 2, 3], [4, 0, 0]]), [3, 1]
    context = {"bias": tf.constant(bias)}
    start = decoder.start(token_ids, tf.constant(lengths), options, context)
    _, whole = decoder.advance(start, tf.constant(6))
    state, parts = start, []
    for steps in (1, 3, 9):
        state, made = decoder.advance(state, tf.constant(steps))
        counts = made["num_tokens"].numpy().tolist()
        parts.append(made["token_ids"].numpy()[:, : counts[0]])
    together = np.concatenate(parts, axis=1)
    np.testing.assert_array_equal(together, whole["token_ids"])
    assert made["is_finished"].numpy().all()
    assert not made["is_stopped"].numpy().any()
    for row, ids in enumerate([[1, 2, 3], [4]]):
        for made in together[row]:
            logits = model(np.array([ids]))[0, -1] + bias[row]
            assert made == np.argmax(logits)
            ids = [*ids, made]


@pytest.mark.skipif(
    not tensorflow_packing.is_available(),
    reason="This TensorFlow has no packed products.",
)
def test_few_rows_read_the_weights_as_they_lie():
    keras.utils.set_random_seed(0)
    model = kbm.models.decoder_lm(29, 32, 2, 2, 16)
    decoder = Decoder(
        lambda ids, context: model(ids), 29, 32, [], loop=Loop(False, True)
    )
    prompts = np.random.default_rng(0).integers(0, 29, (9, 4), "int32")
    for rows in (1, 3, 4, 9):
        options = greedy_options(tf.constant(rows), 6)
        lengths = tf.fill([rows], 4)
        state = decoder.start(tf.constant(prompts[:rows]), lengths, options)
        _, made = decoder.advance(state, tf.constant(6))
        expected = kbm.generate(
            model, prompts[:rows].tolist(), max_new_tokens=6, pack_weights=False
        )
        np.testing.assert_array_equal(made["token_ids"], expected)
    graph = decoder._advance.get_concrete_function().graph.as_graph_def()
    packed = {
        function.signature.name
        for function in graph.library.function
        if any(n.op == tensorflow_packing.KERNEL for n in function.node_def)
    }
    calls = [n for n in graph.node if n.op in ("If", "StatelessIf")]
    (few_or_several,) = calls
    few, several = (
        _reached(graph, few_or_several.attr[name].func.name)
        for name in ("then_branch", "else_branch")
    )
    assert packed and packed <= several
    assert not packed & few


def _reached(graph, name):
    """Return a function's name and those of all that it calls."""
    functions = {f.signature.name: f for f in graph.library.function}
    found, left = set(), [name]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        for node in functions[name].node_def:
            left += [a.func.name for a in node.attr.values() if a.func.name]
    return found


def test_a_stop_token_ends_a_row():
    model = kbm.models.lstm_lm(11, 1, 5)
    made = kbm.generate(model, [1, 2], max_new_tokens=1)
    decoder = Decoder(lambda ids, context: model(ids), 11, None, made)
    options = greedy_options(tf.constant(1), 4)
    state = decoder.start(tf.constant([[1, 2]]), tf.constant([2]), options)
    _, outputs = decoder.advance(state, tf.constant(4))
    assert outputs["num_tokens"].numpy().tolist() == [0]
    assert outputs["is_stopped"].numpy().tolist() == [True]
    assert outputs["token_ids"].numpy().tolist() == [[0] * 4]
