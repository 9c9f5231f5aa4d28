"""Credit: what a generation is worth once its refinements are known. Plain floats, no tree.

A strategy maps a node's own reward, the credits of the refinements that count, and the turns left
after the node's own (S - s) to a credit. `Algorithm.grade` applies it from the last turn to the
first, so the refinements' credits are themselves final. Rewards are taken to be 0 or more.

Departures from the paper (section 4): `mean_reward` leaves a node without refinements as it is
unless `childless="literal"`; `own_reward` and `child_mean` are controls, not the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

Credit = Callable[[float, Sequence[float], int], float]
"""(reward, credits of the refinements that count, turns left) -> credit."""


def own_reward(reward: float, children: Sequence[float], turns_left: int) -> float:
    """No credit comes back: c = r. GRPO, and the control that keeps MURPHY's tree without it."""
    return reward


def max_reward(reward: float, children: Sequence[float], turns_left: int) -> float:
    """MaRS (paper, section 4): c = max(r, max C); c = r without refinements.

    Asks whether any refinement succeeds, so a wider fan-out rewards luckier parents; blind to the
    first attempt where every group of refinements holds a success.
    """
    return max(reward, *children) if children else reward


def mean_reward(gamma: float, childless: Literal["keep", "literal"] = "keep") -> Credit:
    """MeRS (paper, section 4): c = (r + gamma * mean C) / (S - s + 1).

    Args:
        gamma: Share of the refinements' mean that comes back, in [0, 1].
        childless: What a node without refinements earns before the last turn. `"literal"`: the
            formula with C = 0, r / (S - s + 1), by which a solved first attempt of two earns 0.5
            and a half-right one with perfect refinements (0.5 + 0.9) / 2 = 0.7. `"keep"`: r.
            At the last turn both are r.

    Raises:
        ValueError: An argument is none of these.
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma is {gamma}; give a share in [0, 1], the paper's are 0.9 and 1")
    if childless not in ("keep", "literal"):
        raise ValueError(f"childless is {childless!r}; give 'keep' or 'literal'")

    def credit(reward: float, children: Sequence[float], turns_left: int) -> float:
        if children:
            return (reward + gamma * _mean(children)) / (turns_left + 1)
        return reward if childless == "keep" else reward / (turns_left + 1)

    return credit


def child_mean(reward: float, children: Sequence[float], turns_left: int) -> float:
    """A control: c = mean C, the expected reward at the end; c = r without refinements."""
    return _mean(children) if children else reward


def _mean(values: Sequence[float]) -> float:
    """Exactly rounded, so that the order of siblings cannot change a bit of it."""
    return math.fsum(values) / len(values)
