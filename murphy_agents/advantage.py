"""Advantages: who is compared with whom (peers) and on what scale.

All on a tree that `Algorithm.grade` has credited; a node without a credit is in no set. Comparisons
across the tree are in `peers`, what a comparison weighs beside others in `balance`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from murphy_agents.tree import Group, Node, counted, groups

Scale = Callable[[Sequence[float]], list[float]]
"""Credits of one comparison set -> advantages. One credit alone, or equal ones: exactly 0."""
ComparisonSet = tuple[list[Node], list[list[Node]]]
"""The compared nodes, and for each of them the nodes that its advantage trains."""
Peers = Callable[[Group], list[ComparisonSet]]
"""root -> comparison sets. A trained node weighs 1 / number of nodes compared in its set."""


def center(credits: Sequence[float]) -> list[float]:
    """A = c - mean c (arXiv 2503.20783)."""
    if math.isclose(min(credits), max(credits), rel_tol=1e-9, abs_tol=1e-12):
        return [0.0] * len(credits)
    mean = math.fsum(credits) / len(credits)
    return [credit - mean for credit in credits]


def leave_one_out(credits: Sequence[float]) -> list[float]:
    """A = c - mean c of the others (RLOO, arXiv 2402.14740): n / (n - 1) times `center`'s."""
    return [a * len(credits) / max(1, len(credits) - 1) for a in center(credits)]


def standardize(credits: Sequence[float], ddof: int = 1) -> list[float]:
    """A = (c - mean c) / (std c + 1e-4), the sample's std, as in TRL 0.19.1 (paper, section 4)."""
    centered = center(credits)
    std = math.sqrt(math.fsum(a * a for a in centered) / max(1, len(centered) - ddof))
    return [a / (std + 1e-4) for a in centered]


def standardize_population(credits: Sequence[float]) -> list[float]:
    """As `standardize` with the population's std: advantages larger by about sqrt(n / (n - 1))."""
    return standardize(credits, ddof=0)


def siblings(root: Group) -> list[ComparisonSet]:
    """The generations of one prompt are compared with each other (paper, section 4)."""
    return [(nodes, [[n] for n in nodes]) for nodes in map(counted, groups(root)) if nodes]
