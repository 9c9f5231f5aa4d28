"""Advantages: who is compared with whom (peers), on what scale, and what each comparison weighs.

All on a tree that `Algorithm.grade` has credited; a node without a credit is in no set.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Literal

from murphy_agents.tree import Group, Node, counted, groups, num_turns

Scale = Callable[[Sequence[float]], list[float]]
"""Credits of one comparison set -> advantages. One credit alone, or equal ones: exactly 0."""
ComparisonSet = tuple[list[Node], list[list[Node]]]
"""The compared nodes, and for each of them the nodes that its advantage trains."""
Peers = Callable[[Group], list[ComparisonSet]]
"""root -> comparison sets. A trained node weighs 1 / number of nodes compared in its set."""
Balance = Callable[[Group], None]
"""root -> None: rescales the weights of one problem in place; where nothing is trained, nothing."""


def centre(credits: Sequence[float]) -> list[float]:
    """A = c - mean c (arXiv 2503.20783)."""
    if math.isclose(min(credits), max(credits), rel_tol=1e-9, abs_tol=1e-12):
        return [0.0] * len(credits)
    mean = math.fsum(credits) / len(credits)
    return [credit - mean for credit in credits]


def standardize(credits: Sequence[float], ddof: int = 1) -> list[float]:
    """A = (c - mean c) / (std c + 1e-4), the sample's std, as in TRL 0.19.1 (paper, section 4)."""
    centred = centre(credits)
    std = math.sqrt(math.fsum(a * a for a in centred) / max(1, len(centred) - ddof))
    return [a / (std + 1e-4) for a in centred]


def standardize_population(credits: Sequence[float]) -> list[float]:
    """As `standardize` with the population's std: advantages larger by about sqrt(n / (n - 1))."""
    return standardize(credits, ddof=0)


def siblings(root: Group) -> list[ComparisonSet]:
    """The generations of one prompt are compared with each other (paper, section 4)."""
    return [(nodes, [[n] for n in nodes]) for nodes in map(counted, groups(root)) if nodes]


def shuffled_siblings(seed: int) -> Peers:
    """A control: `siblings`, but first attempts are trained with each other's advantages.

    Keeps the size of the advantages and all later turns, breaks attribution at turn 1. Drawn from
    the seed and the ids of the first prompt and its completions: the same tree, the same shuffle.
    """

    def peers(root: Group) -> list[ComparisonSet]:
        sets = siblings(root)
        ids = [list(root.prompt_ids), *(list(node.completion_ids) for node in root.nodes)]
        for _, trained in sets[:1]:
            random.Random(f"{seed} {ids}").shuffle(trained)
        return sets

    return peers


def final_attempts(
    solved_early: Literal["include", "exclude"] = "include",
    train_turns: Literal["last", "all"] = "last",
) -> Peers:
    """The last attempts of a problem's chains are compared (paper, appendix D.4.1).

    `"exclude"` leaves out chains that ended before the last turn that the tree reaches; `"all"`
    trains a chain's earlier attempts with its last one's advantage. A chain whose last attempt has
    no verdict is left out, its outcome is unknown. A fan-out after turn 1 is a ValueError.
    """
    if solved_early not in ("include", "exclude"):
        raise ValueError(f"solved_early is {solved_early!r}; give 'include' or 'exclude'")
    if train_turns not in ("last", "all"):
        raise ValueError(f"train_turns is {train_turns!r}; give 'last' or 'all'")

    def chain(node: Node) -> list[Node]:
        after = node.refinements.nodes if node.refinements else []
        if len(after) > 1:
            raise ValueError(f"a node has {len(after)} refinements; final_attempts takes chains: 1")
        return [node, *(later for child in after for later in chain(child))]

    def peers(root: Group) -> list[ComparisonSet]:
        shortest = num_turns(root) if solved_early == "exclude" else 1
        chains = [c for c in map(chain, root.nodes) if len(c) >= shortest]
        chains = [c for c in chains if c[-1].credit is not None]
        trained = [c if train_turns == "all" else c[-1:] for c in chains]
        return [([c[-1] for c in chains], trained)] if chains else []

    return peers


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
