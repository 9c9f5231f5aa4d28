"""The estimate of KL(π_θ ‖ π_ref) that the loss holds, token by token.

Dimensions: N trained tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor


def k3(logp_N: Tensor, ref_N: Tensor) -> Tensor:
    """exp(d) − d − 1 with d = log π_ref − log π_θ: never negative, 0 where the two agree.

    The estimator called k3 in Schulman, "Approximating KL divergence" (2020). TRL multiplies it by
    the ratio of new to old probability (`use_bias_correction_kl`); here it stands alone.
    """
    d_N = ref_N - logp_N
    return torch.expm1(d_N) - d_N
