"""Surrogates: how the ratio of new to old probability enters the loss. Strategies on flat tensors.

With R_t = π_θ(o_t)/π_old(o_t), A the advantage of the completion o, clip to [1 − ε, 1 + ε_high]:

| name          | a token's surrogate                                | source                      |
|---------------|----------------------------------------------------|-----------------------------|
| `by_token`    | min(R_t·A, clip(R_t)·A)                            | the paper's Def. 1          |
| `by_sequence` | min(s·A, clip(s)·A), s = (Π R_t)^(1/length of o)   | GSPO, arXiv 2507.18071      |
| `by_product`  | min(p·A, clip(p)·A), p = Π R_t                     | TRL's RLOO                  |
| `detached`    | min(R_t, 1 + ε_high) · A · log π_θ(o_t)            | CISPO, arXiv 2506.13585     |

The min of the last is a constant, through which no gradient passes: it cuts no token off. A ratio
of a whole completion stands at each of its tokens.

Degenerate cases: for a completion of one token the first three are the same. On-policy (R_t = 1)
the gradient is A·Σ_t ∇log π_θ(o_t), in `by_product` as many times that as the completion has
tokens, which its weight takes back. With A = 0 all are 0.

Dimensions: N trained tokens, B completions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from murphy_agents.variants import Ratio, variant_named

_LARGEST_LOG = 80.0
"""exp of it is finite in float32, and past every bound."""


class Bounds(NamedTuple):
    """The range of the ratio."""

    low: float
    high: float


class Terms(NamedTuple):
    """What a surrogate gives for each token."""

    surrogate_N: Tensor
    ratio_N: Tensor
    clipped_N: Tensor
    """Whether a bound cuts the gradient off (of `detached`: makes it smaller)."""


Surrogate = Callable[[Tensor, Tensor, Tensor, Bounds, Tensor | None], Terms]
"""(logp_N, old_N, advantage_N, bounds, length_B) -> terms. length_B: tokens of each completion, in
the order of the flat tensors, on the CPU; None only for those that look at single tokens."""


def by_token(
    logp_N: Tensor, old_N: Tensor, advantage_N: Tensor, bounds: Bounds, length_B: Tensor | None
) -> Terms:
    """Each token's own ratio, clipped. The completions' boundaries do not matter."""
    return _clipped(logp_N - old_N, advantage_N, bounds)


def by_sequence(
    logp_N: Tensor, old_N: Tensor, advantage_N: Tensor, bounds: Bounds, length_B: Tensor | None
) -> Terms:
    """The geometric mean of a completion's ratios, clipped: a completion counts as one."""
    return _clipped(of_completions(torch.mean, logp_N - old_N, length_B), advantage_N, bounds)


def by_product(
    logp_N: Tensor, old_N: Tensor, advantage_N: Tensor, bounds: Bounds, length_B: Tensor | None
) -> Terms:
    """The ratio of a completion's probabilities, clipped. It leaves the range soon if it is long.

    Each token carries the whole gradient, so that a weight of 1/length gives that of one sum.
    """
    return _clipped(of_completions(torch.sum, logp_N - old_N, length_B), advantage_N, bounds)


def detached(
    logp_N: Tensor, old_N: Tensor, advantage_N: Tensor, bounds: Bounds, length_B: Tensor | None
) -> Terms:
    """Each token's log-prob, times its capped ratio as a constant. `bounds.low` is not read.

    The paper writes a lower bound and sets it so low that it never acts. On-policy the gradient is
    that of `by_token`; the value is not.
    """
    with torch.no_grad():
        ratio_N = _exp(logp_N - old_N)
        factor_N = ratio_N.clamp(max=bounds.high)
        cut_N = (factor_N < ratio_N) & (advantage_N != 0)
    return Terms(factor_N * advantage_N * logp_N, ratio_N, cut_N)


def surrogate_named(loss_type: str) -> Surrogate:
    """The surrogate of the variant that a configuration's `loss_type` stands for."""
    named: dict[Ratio, Surrogate] = {
        "token": by_token,
        "sequence": by_sequence,
        "product": by_product,
        "detached": detached,
    }
    return named[variant_named(loss_type).ratio]


def of_completions(
    reduce: Callable[[Tensor], Tensor], log_N: Tensor, length_B: Tensor | None
) -> Tensor:
    """`reduce` of each completion's values, at each of its tokens.

    Raises:
        ValueError: the lengths are not given.
    """
    if length_B is None:
        raise ValueError("length_B is None, but completions are to be told apart; give it")
    # A loop rather than a scatter: its sums have one order, on every device.
    parts = torch.split(log_N, length_B.tolist())
    return torch.cat([reduce(part).expand_as(part) for part in parts])


def _clipped(log_N: Tensor, advantage_N: Tensor, bounds: Bounds) -> Terms:
    # Where A >= 0 the bound holds against any excess, and exp must not overflow behind it: the
    # gradient would be 0 · inf. Where A < 0 nothing bounds the loss, and overflow has to show.
    ratio_N = torch.where(advantage_N < 0, log_N, log_N.clamp(max=_LARGEST_LOG)).exp()
    bounded_N = ratio_N.clamp(*bounds)
    surrogate_N = torch.minimum(ratio_N * advantage_N, bounded_N * advantage_N)
    return Terms(surrogate_N, ratio_N, bounded_N * advantage_N < ratio_N * advantage_N)


def _exp(log_N: Tensor) -> Tensor:
    return log_N.clamp(max=_LARGEST_LOG).exp()
