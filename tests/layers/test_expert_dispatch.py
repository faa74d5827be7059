"""The way of tokens to experts and back."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel.layers import expert_dispatch

NUM_EXPERTS = 7
FACTORS = np.arange(2.0, 2.0 + NUM_EXPERTS).astype("float32")[:, None, None]


def feed(inputs, pick):
    """Expert e multiplies by e + 2."""
    return inputs * pick(ops.convert_to_tensor(FACTORS))


def routed(tokens, top, generator):
    x = generator.normal(size=(tokens, 3)).astype("float32")
    experts = np.stack(
        [generator.permutation(NUM_EXPERTS)[:top] for _ in range(tokens)]
    ).astype("int32")
    weights = generator.uniform(size=(tokens, top)).astype("float32")
    return x, experts, weights


def run(way, given, feed=feed):
    """Compiled on JAX, where single operations are slow to start."""

    def call(x, experts, weights):
        return way(x, experts, weights, NUM_EXPERTS, feed)

    if keras.backend.backend() == "jax":
        import jax

        call = jax.jit(call)
    return call(*given)


def expected(x, experts, weights):
    y = np.zeros(x.shape)
    for token, slot in np.ndindex(*experts.shape):
        if experts[token, slot] < NUM_EXPERTS:
            factor = experts[token, slot] + 2
            y[token] += weights[token, slot] * factor * x[token]
    return y


@pytest.mark.parametrize(
    "way",
    [
        expert_dispatch.by_token,
        expert_dispatch.by_expert,
        expert_dispatch.dispatch,
    ],
)
@pytest.mark.parametrize("top", [1, 2, NUM_EXPERTS])
@pytest.mark.parametrize("tokens", [1, 2, 16, 29])
def test_every_way_gives_the_weighted_sum(way, top, tokens):
    given = routed(tokens, top, np.random.default_rng(0))
    y = run(way, given)
    np.testing.assert_allclose(y, expected(*given), atol=1e-5)


@pytest.mark.parametrize("wanted", [1, 5, 17, 18, 29])
def test_rounds_go_on_until_the_busiest_expert_is_done(wanted):
    x, experts, weights = routed(29, 1, np.random.default_rng(0))
    experts[:wanted] = 3
    y = run(expert_dispatch.by_expert, (x, experts, weights))
    np.testing.assert_allclose(y, expected(x, experts, weights), atol=1e-5)


@pytest.mark.parametrize("tokens", [3, 29])
def test_tokens_of_no_expert_give_zeros(tokens):
    x, experts, weights = routed(tokens, 2, np.random.default_rng(0))
    experts[1:] = NUM_EXPERTS
    y = run(expert_dispatch.by_expert, (x, experts, weights))
    assert np.abs(y[0]).min() > 0
    assert np.abs(y[1:]).max() == 0


def test_what_nobody_fetches_cannot_hurt():
    """An expert's overflow stays with the tokens sent to it."""
    x, experts, weights = routed(29, 1, np.random.default_rng(0))
    experts[experts == 0] = 1

    def overflow(inputs, pick):
        factors = FACTORS.copy()
        factors[0] = np.inf
        return inputs * pick(ops.convert_to_tensor(factors))

    y = run(expert_dispatch.by_expert, (x, experts, weights), overflow)
    np.testing.assert_allclose(y, expected(x, experts, weights), atol=1e-5)
