"""The decoding scope: any steps give what the whole sequence gives."""

import threading

import keras
import numpy as np
import pytest
from keras import ops

import keras_bigmodel as kbm
from keras_bigmodel.layers import DecodingScope
from tests.layer_case import to_numpy

TOKENS = np.random.default_rng(7).integers(1, 19, (3, 11)).astype("int32")


def lm(**options):
    return kbm.models.decoder_lm(19, 16, 2, 2, 8, **options)


def recurrent():
    return kbm.models.lstm_lm(19, 2, 5)


def run(model, scope, token_ids, sizes):
    """Runs the model in steps of the given sizes."""
    parts, start = [], 0
    for size in sizes:
        with scope:
            parts.append(to_numpy(model(token_ids[:, start : start + size])))
        start += size
    return np.concatenate(parts, axis=1)


MODELS = {
    "rotary": lm,
    "learned": lambda: lm(position_encoding="learned"),
    "relative": lambda: lm(position_encoding="relative"),
    "alibi window": lambda: lm(position_encoding="alibi", sliding_window=3),
    "window 1": lambda: lm(sliding_window=1),
    "wide window": lambda: lm(sliding_window=15, num_key_value_heads=1),
    "recurrent": recurrent,
}


@pytest.mark.parametrize("name", MODELS)
def test_steps_of_any_size_give_the_whole(name):
    model = MODELS[name]()
    whole = to_numpy(model(TOKENS))
    for sizes in ((11,), (4, 1, 1, 5), (1,) * 11):
        scope = DecodingScope(max_length=11)
        found = run(model, scope, TOKENS, sizes)
        np.testing.assert_allclose(found, whole, atol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["rotary", "alibi window", "recurrent"])
def test_ragged_rows_share_a_batch(name, side):
    """Padded prompts, a ragged piece, single steps: each row as if alone."""
    model = MODELS[name]()
    lengths = [(3, 4), (5, 1), (1, 2)]
    scope = DecodingScope(max_length=16)
    seen = [[] for _ in lengths]
    for piece in range(2):
        sizes = [row[piece] for row in lengths]
        width = max(sizes)
        ids = np.full((3, width), 18, "int32")
        mask = np.zeros((3, width), bool)
        for row, size in enumerate(sizes):
            start = width - size if side == "left" else 0
            first = sum(lengths[row][:piece])
            ids[row, start : start + size] = TOKENS[row, first : first + size]
            mask[row, start : start + size] = True
        state = scope.state if piece else None
        scope = DecodingScope(16, state=state, padding_mask=mask)
        with scope:
            logits = to_numpy(model(ids))
        for row in range(3):
            seen[row].append(logits[row, mask[row]])
    for _ in range(3):
        places = [sum(map(len, row)) for row in seen]
        with scope:
            logits = to_numpy(model(TOKENS[np.arange(3), places][:, None]))
        for row in range(3):
            seen[row].append(logits[row])
    for row in range(3):
        found = np.concatenate(seen[row])
        alone = to_numpy(model(TOKENS[row : row + 1, : len(found)]))[0]
        np.testing.assert_allclose(found, alone, atol=1e-5)


def test_the_models_own_padding_is_seen():
    model = lm(pad_id=0)
    ids = TOKENS.copy()
    ids[1, 6:] = 0
    scope = DecodingScope(max_length=16)
    run(model, scope, ids, (11,))
    assert to_numpy(scope.state["lengths"]).tolist() == [11, 6, 11]
    with scope:
        logits = to_numpy(model(TOKENS[:, :1]))
    alone = np.concatenate([ids[1:2, :6], TOKENS[1:2, :1]], axis=1)
    np.testing.assert_allclose(
        logits[1, 0], to_numpy(model(alone))[0, -1], atol=1e-5
    )


def test_states_are_flat_and_follow_their_rows():
    model = lm(sliding_window=[None, 3])
    scope = DecodingScope(max_length=11)
    run(model, scope, TOKENS, (6,))
    assert all(value.shape[0] == 3 for value in scope.state.values())
    windows = [v.shape[2] for k, v in scope.state.items() if "/key" in k]
    assert windows == [11, 3]
    order = [2, 0, 0, 1]
    state = {
        name: ops.take(value, np.array(order), axis=0)
        for name, value in scope.state.items()
    }
    found = run(
        model, DecodingScope(11, state=state), TOKENS[order, 6:], (1, 4)
    )
    whole = to_numpy(model(TOKENS[order]))[:, 6:]
    np.testing.assert_allclose(found, whole, atol=1e-5)


def test_states_pass_through_compiled_functions():
    """A step is traced once and carries its state from call to call."""
    model = lm()
    scope = DecodingScope(max_length=11)
    run(model, scope, TOKENS, (4,))

    def step(token_ids, state):
        inner = DecodingScope(11, state=state)
        with inner:
            logits = model(token_ids)
        return logits, inner.state

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        step = tf.function(step, autograph=False)
    else:
        import jax

        step = jax.jit(step)
    state, parts = scope.state, []
    for index in range(4, 11):
        logits, state = step(ops.array(TOKENS[:, index : index + 1]), state)
        parts.append(to_numpy(logits))
    whole = to_numpy(model(TOKENS))[:, 4:]
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-5)


def test_a_layer_used_twice_has_two_caches():
    token_ids = keras.Input((None,), dtype="int32")
    embedding = kbm.layers.TokenEmbedding(19, 8)
    block = kbm.layers.DecoderBlock(2, 16, name="shared")
    x = block(block(embedding(token_ids)))
    model = keras.Model(token_ids, x)
    scope = DecodingScope(max_length=11)
    found = run(model, scope, TOKENS, (3, 1, 7))
    np.testing.assert_allclose(found, to_numpy(model(TOKENS)), atol=1e-5)
    assert len([name for name in scope.state if "/key" in name]) == 2


def test_threads_do_not_see_each_other():
    models = [lm(), recurrent()]
    expected = [to_numpy(model(TOKENS)) for model in models]
    found = [None, None]
    together = threading.Barrier(2, timeout=60)

    def decode(index):
        scope, parts = DecodingScope(max_length=11), []
        for place in range(11):
            with scope:
                together.wait()
                logits = models[index](TOKENS[:, place : place + 1])
                together.wait()
            parts.append(to_numpy(logits))
        found[index] = np.concatenate(parts, axis=1)

    threads = [threading.Thread(target=decode, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert DecodingScope.current() is None


def test_caches_can_be_bfloat16():
    model = lm()
    scope = DecodingScope(max_length=11, cache_dtype="bfloat16")
    found = run(model, scope, TOKENS, (4, 1, 1, 5))
    kept = [v for k, v in scope.state.items() if "/value" in k]
    assert {keras.backend.standardize_dtype(v.dtype) for v in kept} == {
        "bfloat16"
    }
    np.testing.assert_allclose(found, to_numpy(model(TOKENS)), atol=0.02)


def test_a_failed_step_leaves_the_state_as_it_was():
    model = lm()
    scope = DecodingScope(max_length=11)
    run(model, scope, TOKENS, (4,))
    before = scope.state
    with pytest.raises(RuntimeError, match="stop"), scope:
        model(TOKENS[:, 4:6])
        raise RuntimeError("stop")
    assert scope.state.keys() == before.keys()
    found = run(model, scope, TOKENS[:, 4:], (7,))
    whole = to_numpy(model(TOKENS))[:, 4:]
    np.testing.assert_allclose(found, whole, atol=1e-5)


def test_what_does_not_fit_is_refused():
    model = lm()
    scope = DecodingScope(max_length=5)
    run(model, scope, TOKENS, (4,))
    with pytest.raises(ValueError, match="2 more tokens after 4.*max_length=5"):
        run(model, scope, TOKENS, (2,))
    with pytest.raises(ValueError, match="batch of 3 rows.*with 2"):
        run(model, scope, TOKENS[:2], (1,))
    with pytest.raises(ValueError, match="at least 1.*max_length=0"):
        DecodingScope(max_length=0)


def test_another_model_is_refused():
    scope = DecodingScope(max_length=11)
    run(lm(), scope, TOKENS, (4,))
    with pytest.raises(ValueError, match="same model|same call|not leave"):
        run(recurrent(), scope, TOKENS, (1,))


def test_encoders_cannot_run_in_steps():
    block = kbm.layers.EncoderBlock(2, 8)
    with (
        pytest.raises(ValueError, match="causal=False"),
        DecodingScope(max_length=5),
    ):
        block(np.ones((1, 3, 8), "float32"))
