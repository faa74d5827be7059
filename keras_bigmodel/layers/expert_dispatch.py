"""Brings tokens to their experts and the outputs back, dropping none.

`x` is (tokens, hidden_dim); `experts` and `weights` are (tokens, k), the
experts of each token and their shares in its output, an expert number equal to
`num_experts` standing for none. `feed(inputs, pick)` runs (groups, tokens,
hidden_dim) through one expert a group; `pick` chooses the groups' weights from
the stacked ones of all experts.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

Tensor = Any
Feed = Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]

# Room for uneven routing in a round of experts: 3 / 2 of the even share.
SPARE = (3, 2)
# Up to so many tokens, one round has room for all of them at each expert:
# reading the weights takes the time then, not the products.
FEW = 16


def dispatch(
    x: Tensor, experts: Tensor, weights: Tensor, num_experts: int, feed: Feed
) -> Tensor:
    """Returns, for each token, its experts' outputs times their weights."""
    tokens, top = x.shape[0], experts.shape[1]
    if tokens and 2 * tokens * top <= num_experts:
        return by_token(x, experts, weights, num_experts, feed)
    return by_expert(x, experts, weights, num_experts, feed)


def by_token(
    x: Tensor, experts: Tensor, weights: Tensor, num_experts: int, feed: Feed
) -> Tensor:
    """Gathers the weights of each token's experts.

    Worth while if they are few: gathering reads and writes them once more.
    """
    top = experts.shape[1]
    flat = ops.reshape(ops.minimum(experts, num_experts - 1), (-1,))
    inputs = ops.repeat(x, top, axis=0)[:, None, :]
    outputs = feed(inputs, lambda stacked: ops.take(stacked, flat, axis=0))
    return _weighted_sum(outputs, weights, x)


def by_expert(
    x: Tensor, experts: Tensor, weights: Tensor, num_experts: int, feed: Feed
) -> Tensor:
    """Gathers the tokens of each expert, in rounds of equal size.

    Further rounds run only while some expert has tokens left.
    """
    top = experts.shape[1]
    flat = ops.reshape(experts, (-1,))
    order = ops.argsort(flat)
    counts = ops.sum(ops.one_hot(flat, num_experts + 1, dtype="int32"), axis=0)
    starts = ops.cumsum(counts) - counts
    ranks = ops.argsort(order) - ops.take(starts, flat)
    size, rounds = _rounds(x, top, num_experts)

    def run(first):
        places = first + ops.arange(size, dtype="int32")
        places = starts[:num_experts, None] + places
        # A place past an expert's last token holds one of another expert;
        # nobody fetches what comes of it.
        places = ops.minimum(places, ops.shape(flat)[0] - 1)
        inputs = ops.take(x, ops.take(order, places) // top, axis=0)
        outputs = ops.reshape(feed(inputs, lambda w: w), (-1, x.shape[-1]))
        here = (ranks >= first) & (ranks < first + size) & (flat < num_experts)
        rows = ops.where(here, flat * size + ranks - first, 0)
        outputs = ops.take(outputs, rows, axis=0)
        outputs = ops.where(here[:, None], outputs, 0)
        return _weighted_sum(outputs, weights, x)

    y = run(0)
    most = ops.max(counts[:num_experts])
    for step in range(1, rounds):
        y = y + ops.cond(
            most > step * size,
            lambda first=step * size: run(first),
            lambda: ops.zeros_like(x),
        )
    return y


def _rounds(x: Tensor, top: int, num_experts: int) -> tuple[Any, int]:
    """Returns the tokens per expert in a round, and the most rounds."""
    tokens = x.shape[0]
    if tokens and tokens <= FEW:
        return tokens, 1
    share, of = top * SPARE[0], num_experts * SPARE[1]
    # No expert can have more tokens than there are.
    return ops.shape(x)[0] * share // of + 1, -(-of // share)


def _weighted_sum(outputs: Tensor, weights: Tensor, x: Tensor) -> Tensor:
    """Sums the outputs of each token's experts, in the order of tokens."""
    outputs = ops.reshape(outputs, (-1, weights.shape[1], x.shape[-1]))
    return ops.sum(outputs * weights[..., None], axis=1)
