"""Variants of the loss: which weight, ratio and scale a paper's name stands for. Words only.

The words become functions elsewhere: weights in `update.normaliser`, ratios in `update.surrogate`,
scales in `advantage`. Trees, credit, the KL term and the optimizer are the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weight = Literal["sequence_mean", "token_mean", "constant_length"]
Ratio = Literal["token", "sequence", "product", "detached"]


@dataclass(frozen=True)
class Variant:
    """What a loss is made of, besides the KL term.

    With P problems, groups of G completions o, and the credits that the algorithm gave:

        J = Σ_o Σ_t weight · [ surrogate(ratio, A) − β · KL ],  A = scale(credits)

    Degenerate case of all: a group of one, or of equal credits, has A = 0 and adds KL alone.

    Example:
        >>> VARIANTS["gspo"]
        Variant(weight='sequence_mean', ratio='sequence', scale='sample')
    """

    weight: Weight
    """1/(P·G·|o|), 1/tokens of the step, or 1/(P·G·token limit)."""
    ratio: Ratio
    """π_θ/π_old of a token; geometric mean or product of a completion's; or a constant factor."""
    scale: Literal["sample", "center", "leave_one_out"]
    """Of the advantages, where the settings name none: the paper's."""


VARIANTS = {
    "grpo": Variant("sequence_mean", "token", "sample"),
    "bnpo": Variant("token_mean", "token", "sample"),
    "dapo": Variant("token_mean", "token", "sample"),
    "dr_grpo": Variant("constant_length", "token", "center"),
    "gspo": Variant("sequence_mean", "sequence", "sample"),
    "cispo": Variant("token_mean", "detached", "sample"),
    "rloo": Variant("sequence_mean", "product", "leave_one_out"),
}
"""By `loss_type`. What is a paper's, and what is left out or other:

* `grpo`: the paper's Def. 1; with one turn arXiv 2402.03300.
* `bnpo`: TRL's name for the token mean; TRL's divides by the tokens of a micro-batch, so that its
  gradient depends on the split. Here the same as `dapo`.
* `dapo`: arXiv 2503.14476, its loss alone, without its filter of silent groups; tokens are averaged
  over the step as in TRL, in the paper over a group. Its clipping is `epsilon_high` 0.28.
* `dr_grpo`: arXiv 2503.20783; the constant is the token limit, as in TRL.
* `gspo`: arXiv 2507.18071; its clipping is `epsilon` 3e-4 and `epsilon_high` 4e-4: the ratio is a
  mean and moves less. The KL term, which the paper leaves out, is here as in all.
* `cispo`: arXiv 2506.13585; tokens are averaged over the step as in TRL, in the paper over a group.
  No lower bound, as the paper trained; the upper one is 1 + `epsilon_high`, as the paper writes it,
  where TRL's `epsilon_high` is the bound itself.
* `rloo`: arXiv 2402.14740 with TRL's clipped ratio of completions. The KL stays a term of the loss,
  a mean over tokens, where both subtract its sum over tokens from the reward: the same `beta` pulls
  less the longer the completion.
"""


def variant_named(loss_type: str) -> Variant:
    """The variant that a configuration's `loss_type` stands for.

    Raises:
        ValueError: there is none of that name.
    """
    if loss_type not in VARIANTS:
        raise ValueError(f"loss_type is {loss_type!r}; choose one of {sorted(VARIANTS)}")
    return VARIANTS[loss_type]
