"""Short hand for rollout trees in tests: a group is a list of rewards or (reward, refinements)."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from murphy_agents.tree import Group, Node, walk


def tree(spec: Sequence, turn: int = 1) -> Group:
    """`tree([1, (0.5, [1, 0])])`: one first attempt solved, one with two refinements."""
    nodes = []
    for entry in spec:
        reward, below = entry if isinstance(entry, tuple) else (entry, None)
        nodes.append(Node(reward, None if below is None else tree(below, turn + 1)))
    return Group(nodes, turn=turn)


def outcome(root: Group) -> list[tuple]:
    """What `grade` wrote, node by node."""
    return [(n.credit, n.pruned, n.advantage, n.weight) for n in walk(root)]


def updates(root: Group) -> int:
    """How many nodes are trained."""
    return sum(node.weight > 0 for node in walk(root))


def specs(turns: int, rewards: Sequence = (None, 0.0, 0.25, 0.5, 0.75, 1.0)) -> st.SearchStrategy:
    """Ragged trees of at most so many turns; a solved node or one without verdict is a leaf."""
    leaf = st.sampled_from(rewards)
    if turns == 1:
        return st.lists(leaf, min_size=1, max_size=5)
    failed = st.sampled_from([r for r in rewards if r is not None and r < 1])
    entry = leaf | st.tuples(failed, specs(turns - 1, rewards))
    return st.lists(entry, min_size=1, max_size=4)
