"""What a problem's comparison sets weigh beside each other."""

from __future__ import annotations

import math
from collections.abc import Callable

from murphy_agents.tree import Group, Node, groups

Balance = Callable[[Group], None]
"""root -> None: rescales the weights of one problem in place; where nothing is trained, nothing."""


def sum_of_groups(root: Group) -> None:
    """Def. 1 (paper, section 4): each comparison set weighs 1, a problem as many as it has."""


def mean_of_groups(root: Group) -> None:
    """The problem weighs 1, its comparison sets alike: w / sum of w."""
    _share([[node for group in groups(root) for node in group.nodes]])


def mean_of_turns(root: Group) -> None:
    """The problem weighs 1, its n trained turns alike: w / (n * sum of w over the turn)."""
    turns: dict[int, list[Node]] = {}
    for group in groups(root):
        turns.setdefault(group.turn, []).extend(group.nodes)
    _share(list(turns.values()))


def _share(parts: list[list[Node]]) -> None:
    """Give every part that trains anything the same total weight, 1 in all."""
    totals = [math.fsum(node.weight for node in part) for part in parts]
    count = sum(total > 0 for total in totals)
    for part, total in zip(parts, totals, strict=True):
        for node in part:
            node.weight /= (count * total) or 1
