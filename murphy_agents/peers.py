"""Comparisons other than between siblings: across the tree, and the control that permutes them."""

from __future__ import annotations

import random
from typing import Literal

from murphy_agents.advantage import ComparisonSet, Peers, siblings
from murphy_agents.tree import Group, Node, groups


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
        deepest = max(group.turn for group in groups(root))
        shortest = deepest if solved_early == "exclude" else 1
        chains = [c for c in map(chain, root.nodes) if len(c) >= shortest]
        chains = [c for c in chains if c[-1].credit is not None]
        trained = [c if train_turns == "all" else c[-1:] for c in chains]
        return [([c[-1] for c in chains], trained)] if chains else []

    return peers
