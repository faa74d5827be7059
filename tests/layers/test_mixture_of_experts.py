"""The mixture of experts."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_bigmodel.layers import FeedForward, MixtureOfExperts
from tests.layer_case import GiveMask, weights_below
from tests.layer_checks import check_layer
from tests.layers.test_activations import FORMULAS

X = np.random.default_rng(0).normal(size=(2, 7, 3)).astype("float32")
SMALL = {"num_experts": 5, "intermediate_dim": 11}


def router_probabilities(x, weights):
    logits = x.astype("float64") @ weights["router"]
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True), logits


def reference(x, weights, top=2, activation="gelu", normalize=True):
    """Token by token, expert by expert."""
    probabilities, _ = router_probabilities(x, weights)
    f = np.vectorize(FORMULAS[activation])

    def dense(name, expert, x):
        bias = weights.get(f"{name}_bias")
        y = x @ weights[name][expert]
        return y if bias is None else y + bias[expert, 0]

    y = np.zeros(x.shape)
    for place in np.ndindex(*x.shape[:-1]):
        p = probabilities[place]
        chosen = np.argsort(-p)[:top]
        for expert in chosen:
            up = dense("up", expert, x[place])
            if "gate" in weights:
                wide = f(dense("gate", expert, x[place])) * up
            else:
                wide = f(up)
            share = p[expert] / (p[chosen].sum() if normalize else 1)
            y[place] += share * dense("down", expert, wide)
    return y


def numbered(layer, x):
    """Builds a layer on x and gives it weights without symmetry."""
    layer.build(x.shape)
    generator = np.random.default_rng(3)
    for weight in layer.trainable_weights:
        weight.assign(generator.normal(size=weight.shape) / 2)
    return weights_below(layer)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gated": True, "activation": "silu", "use_bias": False},
    ],
)
def test_all_checks(options):
    check_layer(
        MixtureOfExperts,
        {**SMALL, **options},
        X,
        (2, 7, 3),
        lambda x, weights: reference(
            x,
            weights,
            activation=options.get("activation", "gelu"),
        ),
    )


@pytest.mark.parametrize("normalize", [True, False])
def test_weights_are_normalized_or_not(normalize):
    layer = MixtureOfExperts(
        **SMALL, experts_per_token=3, normalize_weights=normalize
    )
    weights = numbered(layer, X)
    expected = reference(X, weights, 3, normalize=normalize)
    np.testing.assert_allclose(layer(X), expected, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 3, 16, 17])
def test_few_tokens_and_many_compute_the_same(length):
    x = np.random.default_rng(1).normal(size=(1, length, 3)).astype("float32")
    layer = MixtureOfExperts(13, 5)
    weights = numbered(layer, x)
    np.testing.assert_allclose(layer(x), reference(x, weights), atol=1e-5)


@pytest.mark.parametrize("experts_per_token", [1, 2, 7])
def test_no_token_is_dropped_when_all_want_one_expert(experts_per_token):
    layer = MixtureOfExperts(7, 5, experts_per_token)
    x = np.abs(np.random.default_rng(1).normal(size=(3, 11, 2)))
    x = x.astype("float32")
    numbered(layer, x)
    # Experts in one order of preference for every positive input.
    layer.router.assign(np.arange(14.0).reshape(2, 7) / 3)
    experts, _ = layer.route(x)
    assert (np.asarray(experts) == 6 - np.arange(experts_per_token)).all()
    weights = weights_below(layer)
    expected = reference(x, weights, experts_per_token)
    np.testing.assert_allclose(compiled(layer)(x), expected, atol=1e-5)


def compiled(layer):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(layer, jit_compile=True)
    import jax

    variables = (
        [variable.value for variable in layer.trainable_variables],
        [variable.value for variable in layer.non_trainable_variables],
    )
    return jax.jit(lambda x: layer.stateless_call(*variables, x)[0])


def test_equal_experts_are_one_feed_forward():
    mixture, plain = MixtureOfExperts(2, 11, 1), FeedForward(11)
    numbered(mixture, X)
    plain.build(X.shape)
    for name in ("up", "down"):
        kernel = np.asarray(getattr(mixture, name))[0]
        bias = np.asarray(getattr(mixture, f"{name}_bias"))[0]
        getattr(mixture, name).assign([kernel, kernel])
        getattr(mixture, f"{name}_bias").assign([bias, bias])
        getattr(plain, name).kernel.assign(kernel)
        getattr(plain, name).bias.assign(bias[0])
    np.testing.assert_allclose(mixture(X), plain(X), atol=1e-5)


def test_route_tells_the_experts_of_each_token():
    layer = MixtureOfExperts(**SMALL)
    weights = numbered(layer, X)
    experts, shares = layer.route(X)
    probabilities, _ = router_probabilities(X, weights)
    expected = np.argsort(-probabilities, axis=-1)[..., :2]
    np.testing.assert_array_equal(experts, expected)
    taken = np.take_along_axis(probabilities, expected, axis=-1)
    taken /= taken.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(shares, taken, atol=1e-6)


MASK = np.ones((2, 7), "bool")
MASK[0, 4:] = MASK[1, :1] = False


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("top", [1, 2])
def test_losses_and_use_count_visible_tokens(mask, top):
    layer = MixtureOfExperts(
        **SMALL, experts_per_token=top, balance_loss=0.5, z_loss=0.25
    )
    weights = numbered(layer, X)
    layer(X if mask is None else GiveMask(mask)(X), training=True)
    balance, z = (float(loss) for loss in layer.losses)

    seen = X[MASK if mask is not None else np.ones_like(MASK)]
    probabilities, logits = router_probabilities(seen, weights)
    chosen = np.argsort(-probabilities, axis=-1)[:, :top]
    shares = np.bincount(chosen.ravel(), minlength=5) / chosen.size
    expected = 0.5 * 5 * (shares * probabilities.mean(axis=0)).sum()
    np.testing.assert_allclose(balance, expected, rtol=1e-5)
    log_sums = np.log(np.exp(logits).sum(axis=-1))
    np.testing.assert_allclose(z, 0.25 * (log_sums**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(
        layer.expert_use, 0.99 / 5 + 0.01 * shares, rtol=1e-5
    )


def test_even_use_has_a_balance_of_one():
    layer = MixtureOfExperts(4, 3, 2, balance_loss=1.0, z_loss=0.0)
    x = np.eye(4, dtype="float32")[None]
    layer.build(x.shape)
    # Token i prefers experts i and i + 1.
    layer.router.assign(np.eye(4) * 2 + np.roll(np.eye(4), 1, axis=1))
    layer(x, training=True)
    np.testing.assert_allclose(layer.losses, [1.0], rtol=1e-6)


def test_nothing_is_counted_outside_training():
    layer = MixtureOfExperts(**SMALL)
    layer(X)
    assert layer.losses == []
    np.testing.assert_allclose(layer.expert_use, [0.2] * 5)
    silent = MixtureOfExperts(**SMALL, balance_loss=0.0, z_loss=0.0)
    silent(X, training=True)
    assert silent.losses == []


def test_masked_tokens_give_zeros_and_take_no_place():
    layer = MixtureOfExperts(**SMALL)
    weights = numbered(layer, X)
    y = np.asarray(layer(GiveMask(MASK)(X)))
    assert (y[~MASK] == 0).all()
    np.testing.assert_allclose(y[MASK], reference(X, weights)[MASK], atol=1e-5)
    nothing = layer(GiveMask(np.zeros_like(MASK))(X), training=True)
    assert (np.asarray(nothing) == 0).all()
    assert np.isfinite(layer.losses).all()


def test_training_evens_out_the_use_of_experts():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32") + 1
    layer = MixtureOfExperts(4, 3, 1, balance_loss=1.0, z_loss=0.0)
    model = keras.Sequential([keras.Input((4,)), layer])
    on_jax = keras.backend.backend() == "jax"
    model.compile("sgd", "mse", jit_compile=on_jax)
    # All tokens start at the first expert.
    layer.router.assign([[0.5, 0, 0, 0]] * 4)

    def busiest():
        experts, _ = layer.route(x)
        return np.bincount(np.ravel(experts), minlength=4).max()

    assert busiest() > 60
    model.optimizer.learning_rate = 0.5
    many = np.tile(x, (60, 1))
    model.fit(many, 0 * many, batch_size=64, verbose=0)
    assert busiest() < 40


@pytest.mark.parametrize("length", [1, 17])
def test_gradient_is_the_numerical_one(length):
    """In the input and in every weight, through both ways to compute."""
    layer = MixtureOfExperts(
        6, 2, 2, gated=True, activation="gelu_tanh", balance_loss=0.0
    )
    x = np.random.default_rng(2).normal(size=(1, length, 3)).astype("float32")
    numbered(layer, x)
    probe = np.random.default_rng(4).normal(size=x.shape)
    found = gradients(layer, x, probe.astype("float32"))
    names = [weight.path.split("/")[-1] for weight in layer.trainable_weights]
    state = {**weights_below(layer), "x": x.astype("float64")}

    def loss(state):
        y = reference(state["x"], state, 2, "gelu_tanh")
        return (y * probe).sum()

    for name, gradient in zip(["x", *names], found, strict=True):
        numerical = np.zeros(state[name].shape)
        for index in np.ndindex(*numerical.shape):
            sides = []
            for step in (1e-5, -1e-5):
                moved = state[name].copy()
                moved[index] += step
                sides.append(loss({**state, name: moved}))
            numerical[index] = (sides[0] - sides[1]) / 2e-5
        np.testing.assert_allclose(
            gradient, numerical, atol=1e-4, rtol=1e-4, err_msg=name
        )


def gradients(layer, x, probe):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        weights = [weight.value for weight in layer.trainable_weights]
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = ops.sum(layer(x) * probe)
        found = tape.gradient(loss, [x, *weights])
        return [tf.convert_to_tensor(gradient) for gradient in found]
    import jax

    def loss(x, trainable):
        y, _ = layer.stateless_call(
            trainable, [v.value for v in layer.non_trainable_variables], x
        )
        return ops.sum(y * probe)

    trainable = [v.value for v in layer.trainable_variables]
    of_x, of_weights = jax.jit(jax.grad(loss, argnums=(0, 1)))(x, trainable)
    return [of_x, *of_weights]


@pytest.mark.parametrize("seed", [None, 3])
def test_experts_start_apart_and_by_their_own_size(seed):
    initializer = keras.initializers.GlorotUniform(seed=seed)
    layer = MixtureOfExperts(5, 40, kernel_initializer=initializer)
    layer.build((None, 30))
    kernels = np.asarray(layer.up)
    limit = np.sqrt(6 / 70)
    assert 0.9 * limit < np.abs(kernels).max() <= limit
    for expert in range(4):
        assert np.abs(kernels[expert] - kernels[expert + 1]).max() > 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"intermediate_dim": 0}, "intermediate_dim=0"),
        ({"experts_per_token": 6}, "experts_per_token=6, num_experts=5"),
        ({"experts_per_token": 0}, "experts_per_token=0, num_experts=5"),
        ({"activation": "swish"}, "activation='swish'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MixtureOfExperts(**{**SMALL, **arguments})
