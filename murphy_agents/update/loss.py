"""The MURPHY loss (the paper's Def. 1), on flat tensors over all trained tokens.

For a problem q whose tree holds the groups g, each with G_g kept completions o_1 … o_G,

    J(q) = Σ_g 1/G_g Σ_i 1/|o_i| Σ_t [ min(R·A, clip(R, 1 − ε, 1 + ε)·A) − β·KL ]

    R  = π_θ(o_t | prompt, o_<t) / π_old(o_t | …)        A: the node's advantage, for all its tokens
    KL = exp(d) − d − 1,  d = log π_ref − log π_θ        never negative, 0 where the two agree

and the loss is −J averaged over the problems of the step. With one group a problem it is GRPO's.

What the paper leaves open, or what differs:
* 1/(problems · G · |o|) arrives in `weight_N`, set by `batch.py`; no tensor here is averaged.
* G counts completions kept after pruning, truncated and empty ones included.
* The min arrives as `surrogate`, Def. 1's by default; others make rival losses (`variants.py`).
* KL is k3 (`kl.py`), as in TRL, but not multiplied by R, as TRL has come to do by default.
* All log-probs are taken at the sampling temperature, as in TRL.
* With one optimizer step per rollout π_old is π_θ: `old_N = logp_N.detach()`, so R = 1 and only its
  gradient matters. π_old is this policy under this library's own forward, not the sampler's word;
  how far the two are apart can be corrected for, in `advantage_N` (`correction.py`).

Dimensions: N trained tokens, B completions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from murphy_agents.update.kl import k3
from murphy_agents.update.surrogate import Bounds, Surrogate, by_token


def murphy_loss(
    logp_N: Tensor,
    old_N: Tensor,
    ref_N: Tensor | None,
    advantage_N: Tensor,
    weight_N: Tensor,
    epsilon: float = 0.2,
    beta: float = 0.04,
    epsilon_high: float | None = None,
    surrogate: Surrogate = by_token,
    length_B: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of clipped surrogate and KL penalty over the given tokens.

    Args:
        logp_N: log π_θ of each token, differentiable.
        old_N: log π_old of each token, without gradient.
        ref_N: log π_ref of each token, without gradient; None only with beta = 0.
        advantage_N: advantage of the completion that the token belongs to.
        weight_N: all normalisers of the token. Losses of parts of a batch add up to the batch's.
        epsilon: how far the ratio may fall below 1.
        beta: coefficient of the KL penalty.
        epsilon_high: how far the ratio may rise above 1; None: as far as it may fall.
        surrogate: how the ratio enters.
        length_B: tokens of each completion, on the CPU; for surrogates that ask for them.

    Returns:
        loss, a scalar to call `backward` on, and stats: detached sums over the tokens (`tokens`,
        `ratio`, `clipped`, `kl`), which add over parts; divide by `tokens` for means.

    Raises:
        ValueError: beta is not 0 and there is no reference.
    """
    if beta != 0 and ref_N is None:
        raise ValueError(f"beta is {beta} but ref_N is None; give reference log-probs or beta=0")
    bounds = Bounds(1 - epsilon, 1 + (epsilon if epsilon_high is None else epsilon_high))
    gain_N, ratio_N, clipped_N = surrogate(logp_N, old_N, advantage_N, bounds, length_B)
    kl_N = torch.zeros_like(logp_N) if ref_N is None else k3(logp_N, ref_N)
    loss = -(weight_N * (gain_N - beta * kl_N)).sum()
    sums = {"ratio": ratio_N.sum(), "clipped": clipped_N.sum(), "kl": kl_N.sum()}
    sums["tokens"] = torch.full_like(loss, logp_N.numel())
    return loss, {name: value.detach() for name, value in sums.items()}
