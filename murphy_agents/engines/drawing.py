"""Draws one token for each row of logits, from random numbers that belong to the sample.

Sample s draws its t-th token with the uniform number u(seed_s, t) of a counter-based generator, by
inverting the distribution function of its row. So its tokens depend on its seed and its logits, not
on how many others are drawn beside it or in which order.

R: rows (samples), V: vocabulary.
"""

# A tensor's name ends in its dimensions.

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class Rule(NamedTuple):
    """How each row is to be drawn."""

    temperature_R: Tensor
    """float; 0: greedy."""
    top_p_R: Tensor
    """float64 in (0, 1]."""
    any_greedy: bool
    any_nucleus: bool
    """Whether some row has `top_p` below 1; known beforehand, so that no row has to be asked."""


def uniforms(seed: int, count: int) -> npt.NDArray[np.float64]:
    """The first `count` numbers in [0, 1) of a sample, 53 random bits each.

    Philox by its raw output: a stream that numpy promises to keep between versions.
    """
    raw = np.random.Philox(key=seed).random_raw(count)
    return np.asarray((raw >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def draw(logits_RV: Tensor, uniform_R: Tensor, rule: Rule) -> tuple[Tensor, Tensor]:
    """Token ids (R,) int64 and their natural log-probabilities (R,) float64.

    The log-probability is that of the distribution drawn from: at the row's temperature and
    renormalised over the nucleus. A greedy row takes the first largest logit, whatever `top_p`; its
    log-probability is the one at temperature 1 over the whole vocabulary, since under the limit it
    is 0 and says nothing.

    Args:
        logits_RV: (R, V), any float type; computed in float32, or float64 if given so.
        uniform_R: (R,) float64 in [0, 1).
        rule: temperature and nucleus of each row.
    """
    logits_RV = logits_RV if logits_RV.dtype == torch.float64 else logits_RV.float()
    greedy_R = rule.temperature_R == 0
    scale_R = rule.temperature_R.masked_fill(greedy_R, 1).to(logits_RV.dtype)
    scores_RV = logits_RV / scale_R[:, None]
    scores_RV -= scores_RV.amax(-1, keepdim=True)
    weights_RV = scores_RV.exp()
    if rule.any_nucleus:
        outside_RV = _outside_nucleus(weights_RV, rule.top_p_R)
        weights_RV = weights_RV.masked_fill(outside_RV & ~greedy_R[:, None], 0)
    cdf_RV = weights_RV.cumsum(-1, dtype=torch.float64)
    mass_R = cdf_RV[:, -1]
    # Rounding must not lead past the last token that has any probability.
    below_R = torch.minimum(uniform_R * mass_R, torch.nextafter(mass_R, torch.zeros_like(mass_R)))
    ids_R = torch.searchsorted(cdf_RV, below_R[:, None], right=True).squeeze(-1)
    # Logits that are no numbers lead past the end; the log-prob then tells of them.
    ids_R = ids_R.clamp(max=logits_RV.shape[-1] - 1)
    if rule.any_greedy:
        ids_R = torch.where(greedy_R, logits_RV.argmax(-1), ids_R)
    score_R = scores_RV.gather(-1, ids_R[:, None]).squeeze(-1)
    return ids_R, score_R.double() - mass_R.log()


def _outside_nucleus(weights_RV: Tensor, top_p_R: Tensor) -> Tensor:
    """Mask (R, V) of what lies outside the fewest most likely tokens that hold `top_p` of the mass.

    Never all of a row; nothing where `top_p` is 1.
    """
    sorted_RV, order_RV = weights_RV.sort(dim=-1, descending=True, stable=True)
    cdf_RV = sorted_RV.cumsum(-1, dtype=torch.float64)
    before_RV = cdf_RV - sorted_RV
    kept_RV = (before_RV < top_p_R[:, None] * cdf_RV[:, -1:]) | (top_p_R[:, None] == 1)
    return torch.zeros_like(kept_RV).scatter(-1, order_RV, ~kept_RV)
