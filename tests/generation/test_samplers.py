import numpy as np
import pytest
from keras import ops

import keras_bigmodel as kbm
from keras_bigmodel.generation import samplers


def parameters(sampler, batch):
    return {
        name: np.full(batch, value, np.asarray(value).dtype.name[:3] + "32")
        if isinstance(value, int)
        else np.full(batch, value, "float32")
        for name, value in sampler.parameters().items()
    }


def reference_distribution(logits, sampler):
    """Filters as written down in the papers, by sorting, in float64."""
    logits = logits.astype("float64") / sampler.temperature
    p = np.exp(logits - logits.max())
    p /= p.sum()
    order = np.argsort(-p, kind="stable")
    if sampler.top_k:
        p[order[sampler.top_k :]] = 0
        p /= p.sum()
    if sampler.top_p < 1:
        before = np.cumsum(p[order]) - p[order]
        p[order[before >= sampler.top_p]] = 0
        p /= p.sum()
    if sampler.min_p:
        p[p < sampler.min_p * p.max()] = 0
        p /= p.sum()
    return p


@pytest.mark.parametrize(
    "sampler",
    [
        samplers.Sample(),
        samplers.Sample(temperature=0.5),
        samplers.Sample(top_k=5),
        samplers.Sample(top_p=0.7),
        samplers.Sample(min_p=0.2),
        samplers.Sample(temperature=1.7, top_k=11, top_p=0.8, min_p=0.05),
        samplers.Sample(top_k=1),
        samplers.Sample(top_p=1e-6),
    ],
    ids=str,
)
def test_distributions_are_those_of_the_papers(sampler):
    logits = np.random.default_rng(5).normal(0, 2, (3, 31)).astype("float32")
    made = sampler.distribution(
        ops.convert_to_tensor(logits), parameters(sampler, 3)
    )
    expected = [reference_distribution(row, sampler) for row in logits]
    np.testing.assert_allclose(ops.convert_to_numpy(made), expected, atol=2e-6)


def test_draws_follow_the_distribution():
    p = np.array([0.05, 0.0, 0.5, 0.2, 0.25, 0.0], "float32")
    number = 20_000
    uniforms = (np.arange(number, dtype="float32") + 0.5) / number
    drawn = samplers.draw(
        ops.convert_to_tensor(np.tile(p, (number, 1))),
        ops.convert_to_tensor(uniforms),
    )
    counts = np.bincount(ops.convert_to_numpy(drawn), minlength=6)
    np.testing.assert_allclose(counts / number, p, atol=2 / number)


def test_draws_never_leave_the_distribution():
    p = np.array([[0.25, 0.75, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], "float32")
    for uniform in (0.0, np.nextafter(1, 0, dtype="float32")):
        drawn = ops.convert_to_numpy(
            samplers.draw(
                ops.convert_to_tensor(p),
                ops.convert_to_tensor(np.full(2, uniform, "float32")),
            )
        )
        assert (p[np.arange(2), drawn] > 0).all()


def test_sampling_follows_the_models_distribution():
    """Chi-square over the tokens drawn, at a fixed set of seeds."""
    model = kbm.models.decoder_lm(11, 8, 1, 2, 8)
    model.layers[1].embeddings.assign(model.layers[1].embeddings * 10.0)
    number = 4000
    drawn = kbm.generate(
        model,
        [[3, 1]] * number,
        max_new_tokens=1,
        sampler="sample",
        seed=range(number),
    )
    logits = ops.convert_to_numpy(model(np.array([[3, 1]])))[0, -1]
    expected = number * reference_distribution(logits, samplers.Sample())
    counts = np.bincount(np.ravel(drawn), minlength=11)
    assert expected.min() > 5 and expected.max() > 2 * expected.min()
    # The 99.9th percentile of chi-square with 10 degrees of freedom is 29.6.
    assert ((counts - expected) ** 2 / expected).sum() < 29.6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, 'positive. For temperature 0.*"greedy"'),
        ({"temperature": -1.0}, "positive"),
        ({"temperature": float("nan")}, "positive"),
        ({"temperature": float("inf")}, "positive"),
        ({"temperature": "1"}, "a number"),
        ({"top_k": True}, "a number"),
        ({"top_k": -1}, "0 or more"),
        ({"top_k": 1.5}, "whole number"),
        ({"top_p": 0.0}, "above 0"),
        ({"top_p": 1.1}, "at most 1"),
        ({"top_p": float("nan")}, "above 0"),
        ({"min_p": -0.1}, "from 0 to 1"),
        ({"min_p": 1.5}, "from 0 to 1"),
        ({"repetition_penalty": 0.0}, "positive"),
        ({"presence_penalty": float("nan")}, "finite"),
        ({"frequency_penalty": float("inf")}, "finite"),
    ],
)
def test_bad_options_are_refused(options, message):
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"`{name}` must be.*{message}"):
        samplers.Sample(**options)


def test_names_resolve():
    assert samplers.resolve("greedy") == samplers.Greedy()
    assert samplers.resolve("sample") == samplers.Sample()
