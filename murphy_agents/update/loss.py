"""The MURPHY loss (the paper's Def. 1), on flat tensors over all trained tokens.

For a problem q whose tree holds the groups g, each with G_g kept completions o_1 … o_G,

    J(q) = Σ_g 1/G_g Σ_i 1/|o_i| Σ_t [ min(R·A, clip(R, 1 − ε, 1 + ε)·A) − β·KL ]

    R  = π_θ(o_t | prompt, o_<t) / π_old(o_t | …)        A: the node's advantage, for all its tokens
    KL = exp(d) − d − 1,  d = log π_ref − log π_θ        never negative, 0 where the two agree

and the loss is −J averaged over the problems of the step. With one group a problem it is GRPO's.

What the paper leaves open, or what differs:
* 1/(problems · G · |o|) arrives in `weight_N`, set by `batch.py`; no tensor here is averaged.
* G counts completions kept after pruning, truncated and empty ones included.
* KL is the estimator called k3 (Schulman, "Approximating KL divergence", 2020), as in TRL, but not
  multiplied by R, which TRL has come to do by default (`use_bias_correction_kl`).
* All log-probs are taken at the sampling temperature, as in TRL.
* With one optimizer step per rollout π_old is π_θ: `old_N = logp_N.detach()`, so R = 1 and only its
  gradient matters. π_old is this policy under this library's own forward, not the sampler's word.
* Nothing corrects for top-p < 1 or for a sampler whose probabilities are slightly off.

Dimensions: N trained tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor


def murphy_loss(
    logp_N: Tensor,
    old_N: Tensor,
    ref_N: Tensor | None,
    advantage_N: Tensor,
    weight_N: Tensor,
    epsilon: float = 0.2,
    beta: float = 0.04,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of clipped surrogate and KL penalty over the given tokens.

    Args:
        logp_N: log π_θ of each token, differentiable.
        old_N: log π_old of each token, without gradient.
        ref_N: log π_ref of each token, without gradient; None only with beta = 0.
        advantage_N: advantage of the completion that the token belongs to.
        weight_N: all normalisers of the token. Losses of parts of a batch add up to the batch's.
        epsilon: half-width of the clipping range of the ratio.
        beta: coefficient of the KL penalty.

    Returns:
        loss, a scalar to call `backward` on, and stats: detached sums over the tokens (`tokens`,
        `ratio`, `clipped`, `kl`), which add over parts; divide by `tokens` for means. A token is
        clipped where the bound cuts its gradient.

    Raises:
        ValueError: beta is not 0 and there is no reference.
    """
    if beta != 0 and ref_N is None:
        raise ValueError(f"beta is {beta} but ref_N is None; give reference log-probs or beta=0")
    ratio_N = torch.exp(logp_N - old_N)
    bounded_N = ratio_N.clamp(1 - epsilon, 1 + epsilon)
    surrogate_N = torch.minimum(ratio_N * advantage_N, bounded_N * advantage_N)
    kl_N = torch.zeros_like(logp_N) if ref_N is None else k3(logp_N, ref_N)
    loss = -(weight_N * (surrogate_N - beta * kl_N)).sum()
    clipped_N = bounded_N * advantage_N < ratio_N * advantage_N
    stats = {
        "tokens": torch.full_like(loss, logp_N.numel()),
        "ratio": ratio_N.sum(),
        "clipped": clipped_N.sum(),
        "kl": kl_N.sum(),
    }
    return loss, {name: value.detach() for name, value in stats.items()}


def k3(logp_N: Tensor, ref_N: Tensor) -> Tensor:
    """Per-token estimate of KL(π_θ ‖ π_ref): exp(d) − d − 1 with d = log π_ref − log π_θ."""
    d_N = ref_N - logp_N
    return torch.expm1(d_N) - d_N
