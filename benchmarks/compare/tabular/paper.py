"""What a first attempt is worth on paper, credit by credit, before anything is trained.

A style of first attempt ends in one of a few outcomes, each with a probability, a reward, and the
chance p that one refinement is right; a refinement that is not earns `miss`. With n refinements,
which are right independently of each other,

    value = sum over outcomes of P * sum_j Binomial(j; n, p) credit(reward, j ones and n - j misses)

with the functions that grade real trees, so that nothing is worked out twice. For MaRS and n = 4
that is P(solved) + sum of P * (M + (1 - M) * max(reward, miss)), M = 1 - (1 - p)^4.

A value is what a credit asks for, not what it reaches: p changes in training, and advantages are
scaled by what siblings earn.

`python -m benchmarks.compare.tabular.paper` prints the table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from murphy_agents.credit import Credit, child_mean, max_reward, mean_reward, own_reward

REFINEMENTS = 4


@dataclass(frozen=True)
class Outcome:
    """One way in which a first attempt can end.

    Example:
        A loud attempt at one of eight separators, its message always understood:

        >>> loud = [Outcome(1 / 8, 1.0), Outcome(7 / 8, 1 / 3, repair=1.0, miss=1 / 2)]
        >>> round(value(max_reward, loud), 3), round(value(own_reward, loud), 3)
        (1.0, 0.417)
    """

    probability: float
    reward: float
    repair: float | None = None
    """Chance that one refinement is right; None: solved, there is none."""
    miss: float = 0.0
    """What a refinement earns that is not right."""


Style = list[Outcome]

CREDITS: dict[str, Credit] = {
    "own": own_reward,
    "MaRS": max_reward,
    "MeRS .9": mean_reward(0.9),
    "MeRS 1": mean_reward(1.0),
    "MeRS .9 literal": mean_reward(0.9, childless="literal"),
    "final reward": child_mean,
}
"""The final reward is what child-mean credit and chains with all turns trained both estimate."""


def value(credit: Credit, style: Style, refinements: int = REFINEMENTS) -> float:
    """The expected credit of a first attempt of two in this style."""
    total = 0.0
    for outcome in style:
        if outcome.repair is None:
            total += outcome.probability * credit(outcome.reward, [], 1)
            continue
        for right in range(refinements + 1):
            children = [1.0] * right + [outcome.miss] * (refinements - right)
            chance = math.comb(refinements, right) * outcome.repair**right
            chance *= (1 - outcome.repair) ** (refinements - right)
            total += outcome.probability * chance * credit(outcome.reward, children, 1)
    return total


def solved(style: Style, turns: int) -> float:
    """Probability that a chain of one or two attempts solves the task: what RLEF's reward pays."""
    first = sum(outcome.probability for outcome in style if outcome.repair is None)
    repairs = sum(outcome.probability * (outcome.repair or 0.0) for outcome in style)
    return first + repairs * (turns > 1)


def discounted(style: Style, gamma: float, held: bool = False) -> float:
    """Expected r + gamma * refinement's; held: a solved attempt earns 1 at the next turn too."""
    return sum(
        o.probability
        * (o.reward + gamma * (held if o.repair is None else o.repair + (1 - o.repair) * o.miss))
        for o in style
    )


def probe_styles(
    k: int = 8, quiet: float = 1 / 2, loud: float = 1 / 3, skill: float = 1.0, blind: bool = False
) -> dict[str, Style]:
    """Quiet and loud first attempts; second attempts are quiet, and none repeats its parent."""
    untold = 1 / (k - 1)
    repairs = {"quiet": (quiet, untold), "loud": (loud, untold if blind else skill)}
    return {
        name: [Outcome(1 / k, 1.0), Outcome(1 - 1 / k, reward, repair, quiet)]
        for name, (reward, repair) in repairs.items()
    }


def sorting_styles(skill: float = 1.0) -> dict[str, Style]:
    """Alphabetical first attempts, and such by length; see `sorting`."""
    return {
        "mode": [Outcome(1 / 2, 1.0), Outcome(1 / 2, 1 / 4, 1 / 6, 1 / 2)],
        "by length": [
            Outcome(1 / 12, 1.0),
            Outcome(1 / 2, 1 / 4, skill, 1 / 4),
            Outcome(5 / 12, 1 / 2, skill, 1 / 2),
        ],
    }


VARIANTS: dict[str, Mapping[str, Style]] = {
    "plain, message always used": probe_styles(),
    "plain, half the time": probe_styles(skill=0.5),
    "plain, one time in five": probe_styles(skill=0.2),
    "strong, message always used": probe_styles(quiet=2 / 3, loud=1 / 6),
    "strong, half the time": probe_styles(quiet=2 / 3, loud=1 / 6, skill=0.5),
    "blind": probe_styles(blind=True),
    "sorting": sorting_styles(),
}
"""`hedge`, in which the starting model is mostly quiet, has the values of `plain`."""


def columns(style: Style) -> dict[str, float]:
    """A style's worth by every credit, and what it is really good for."""
    return {name: value(credit, style) for name, credit in CREDITS.items()} | {
        "discounted .9": discounted(style, 0.9),
        "discounted .4": discounted(style, 0.4),
        "held .9": discounted(style, 0.9, held=True),
        "solved by turn 1": solved(style, 1),
        "turn 2": solved(style, 2),
    }


def table() -> str:
    """The Markdown table: first style / second style, the one that a credit asks for in bold."""
    names = list(columns([]))
    lines = ["| world | " + " | ".join(names) + " |", "|" + "---|" * (1 + len(names))]
    for variant, styles in VARIANTS.items():
        pairs = zip(*(columns(style).values() for style in styles.values()), strict=True)
        lines.append(f"| {variant} | " + " | ".join(_pair(*pair) for pair in pairs) + " |")
    return "\n".join(lines)


def _pair(first: float, second: float) -> str:
    texts = [f"{value:.3f}" for value in (first, second)]
    if texts[0] != texts[1]:
        best = int(second > first)
        texts[best] = f"**{texts[best]}**"
    return " / ".join(texts)


if __name__ == "__main__":
    print(table())
