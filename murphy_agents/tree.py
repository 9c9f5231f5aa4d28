"""The rollout tree: a `Group` is a prompt and its generations, a `Node` is one generation.

A node's `refinements` is the next group, or None where the loop ended; a tree is its root group.
This is the paper's recursion (section 4) and nothing more: no torch, no environment.

Example:
    Two first attempts, one solved, one repaired in one of two tries:

    >>> repaired = Node(0.5, refinements=Group([Node(1.0), Node(0.0)], turn=2))
    >>> root = Group([Node(1.0), repaired])
    >>> [node.reward for node in walk(root)]
    [1.0, 0.5, 1.0, 0.0]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Node:
    """One generation. The first fields are what happened, the last four are `Algorithm.grade`'s."""

    reward: float | None
    """The environment's, never overwritten. None: no verdict, the node counts nowhere."""
    refinements: Group | None = None
    completion_ids: Sequence[int] = ()
    """Sampled token ids, end token included where it was sampled."""
    logprobs: Sequence[float] = ()
    """Of each sampled id, at the sampling temperature; empty where the engine gives none."""
    completion: str = ""
    finish_reason: str = "stop"
    """`stop`, `length` (cut at the token limit)."""
    info: dict[str, Any] = field(default_factory=dict)
    """What else the environment said of the step (code, pass_rate, visible results, ...)."""
    credit: float | None = None
    """Reward after assignment; None where the node has no verdict or was pruned."""
    pruned: bool = False
    advantage: float = 0.0
    weight: float = 0.0
    """1 / size of the comparison set; 0: not trained."""


@dataclass(eq=False)
class Group:
    """A prompt and its generations."""

    nodes: list[Node]
    prompt_ids: Sequence[int] = ()
    turn: int = 1


def walk(root: Group) -> Iterator[Node]:
    """All nodes, each before its refinements."""
    for group in groups(root):
        yield from group.nodes


def groups(root: Group) -> Iterator[Group]:
    """All groups, turn by turn: the root group, then its refinements, and so on."""
    level = [root]
    while level:
        yield from level
        level = [n.refinements for g in level for n in g.nodes if n.refinements is not None]


def counted(group: Group) -> list[Node]:
    """The group's nodes that have a credit: a verdict was reached and no pruning dropped them."""
    return [node for node in group.nodes if node.credit is not None]


def credits(nodes: Iterable[Node]) -> list[float]:
    """The credits of those of the nodes that have one."""
    return [node.credit for node in nodes if node.credit is not None]
