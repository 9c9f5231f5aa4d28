"""Pruning: what of a finished tree is left out of the update (paper, section 4.1).

A strategy sees the groups of one turn of one problem, their nodes already credited.
`Algorithm.grade` calls it from the last turn to the first and credits each turn from what was kept
below. Saves updates, never generations. Statistics are compared to 12 decimals: float noise must
not decide between equals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from murphy_agents import subset
from murphy_agents.tree import Group, Node, counted, credits, walk


class Dropped(NamedTuple):
    """What one turn loses."""

    nodes: Sequence[Node] = ()
    """Every node to leave out, descendants among them where they go too."""
    pays: Mapping[Group, Sequence[float]] = {}
    """Dropped groups, each with the credits that its parent still sees in its place."""


Prune = Callable[[Sequence[Group]], Dropped]
"""(the groups of one turn of one problem) -> what to drop."""


def keep_all(groups: Sequence[Group]) -> Dropped:
    """No pruning."""
    return Dropped()


def intra_group(
    b: int,
    rule: Literal["max_variance", "contribution"] = "max_variance",
    keep_descendants: bool = False,
) -> Prune:
    """IntraP: b >= 2 nodes of each group stay; a group of b or fewer stays whole.

    `"max_variance"`: the size-b subset of largest variance (arXiv 2504.13818), always the k highest
    and b - k lowest credits for some k. `"contribution"`: the highest and the lowest credit, then
    the largest (c - mean)^2. Ties: more of the higher credit, then the lower index.
    The refinements of a dropped node go too: 8 + 8 * 8 nodes become 4 + 4 * 4 = 20 with b = 4;
    `keep_descendants` keeps 4 + 8 * 4 = 36, the count of the paper's Table 3.
    """
    rules = {"max_variance": subset.max_variance, "contribution": subset.contribution}
    if b < 2:
        raise ValueError(f"b is {b}; keep at least 2 of a group, one node alone has no variance")
    if rule not in rules:
        raise ValueError(f"rule is {rule!r}; give one of {sorted(rules)}")

    def prune(groups: Sequence[Group]) -> Dropped:
        dropped: list[Node] = []
        for nodes in map(counted, groups):
            kept = rules[rule](credits(nodes), b) if len(nodes) > b else range(len(nodes))
            dropped += [node for index, node in enumerate(nodes) if index not in kept]
        if not keep_descendants:
            dropped += [n for node in dropped if node.refinements for n in walk(node.refinements)]
        return Dropped(dropped)

    return prune


def inter_group(
    b: int,
    alpha1: float = 0.0,
    alpha2: float = 1.0,
    dropped_pays: Literal["zero", "as_sampled"] = "zero",
) -> Prune:
    """InterP: of a turn's groups the b >= 1 with the largest alpha1 * mean + alpha2 * std stay.

    The std is the population's; ties: the earlier group; a group without any verdict does not
    compete; turn 1 is one group and stays: 8 + 8 * 8 nodes become 8 + 4 * 8 = 40 with b = 4.
    A dropped group pays its parent as one child of credit 0 (MaRS keeps r, MeRS r / (S - s + 1),
    even if every refinement solved the task), or `"as_sampled"`: pruning then changes no credit.
    """
    if b < 1:
        raise ValueError(f"b is {b}; keep at least 1 group")
    if dropped_pays not in ("zero", "as_sampled"):
        raise ValueError(f"dropped_pays is {dropped_pays!r}; give 'zero' or 'as_sampled'")

    def score(group: Group) -> float:
        values = credits(group.nodes)
        mean = math.fsum(values) / len(values)
        std = math.sqrt(math.fsum((c - mean) ** 2 for c in values) / len(values))
        return round(alpha1 * mean + alpha2 * std, 12)

    def prune(groups: Sequence[Group]) -> Dropped:
        ranked = sorted(filter(counted, groups), key=score, reverse=True)
        pays = {g: [0.0] if dropped_pays == "zero" else credits(g.nodes) for g in ranked[b:]}
        return Dropped([node for group in pays for node in walk(group)], pays)

    return prune
