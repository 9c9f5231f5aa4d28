"""Normalisers: what the terms of a token are divided by. Strategies on plain numbers.

What a token of completion o weighs under each name (G: group size, P: problems, L: token limit):

| name              | weight          | source                                              |
|-------------------|-----------------|-----------------------------------------------------|
| `sequence_mean`   | 1 / (P · G · o) | the paper's Def. 1, o standing for its length       |
| `token_mean`      | 1 / tokens      | of the whole batch: DAPO (arXiv 2503.14476), TRL    |
| `constant_length` | 1 / (P · G · L) | Dr. GRPO (arXiv 2503.20783)                         |

Which loss has which: `murphy_agents.variants`. 1/G is the node's `weight`; `token_mean`, to which
all tokens are alike, reads it only as "trained or not". TRL's `bnpo` divides by the tokens of a
micro-batch, so that its gradient depends on the split; here it means the same as `dapo`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from murphy_agents.tree import Node
from murphy_agents.variants import Weight, variant_named


@dataclass(frozen=True)
class Totals:
    """What normalisers divide by: counts over the whole step, all processes together."""

    num_problems: int
    """Every problem of the step, those whose tree trains nothing included."""
    num_tokens: int
    """Tokens of all trained completions."""

    def __add__(self, other: Totals) -> Totals:
        return Totals(self.num_problems + other.num_problems, self.num_tokens + other.num_tokens)


Normaliser = Callable[[Node, Totals], float]
"""A trained node's weight per token."""


def sequence_mean(node: Node, totals: Totals) -> float:
    """Def. 1: tokens averaged in a completion, completions in a group; groups summed."""
    return node.weight / (totals.num_problems * len(node.completion_ids))


def token_mean(node: Node, totals: Totals) -> float:
    """All trained tokens of the step count alike."""
    return 1 / totals.num_tokens


def constant_length(max_completion_length: int) -> Normaliser:
    """As `sequence_mean`, with the token limit in place of each completion's own length."""
    if max_completion_length < 1:
        raise ValueError(f"max_completion_length is {max_completion_length}; give at least 1")

    def weight(node: Node, totals: Totals) -> float:
        return node.weight / (totals.num_problems * max_completion_length)

    return weight


def normaliser_named(loss_type: str, max_completion_length: int) -> Normaliser:
    """The normaliser of the variant that a configuration's `loss_type` stands for."""
    named: dict[Weight, Normaliser] = {
        "sequence_mean": sequence_mean,
        "token_mean": token_mean,
        "constant_length": constant_length(max_completion_length),
    }
    return named[variant_named(loss_type).weight]
