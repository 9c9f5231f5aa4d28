"""What the sampler fills: trees with their counts, and branches, which are groups in the making."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from murphy_agents.engines.protocol import Completion
from murphy_agents.lease import Outcome, Position
from murphy_agents.tree import Group, Node


@dataclass
class Rollout:
    """Trees, one per problem, and what growing them took."""

    task_ids: list[str]
    roots: list[Group]
    num_generations: int = 0
    num_overflows: int = 0
    num_infra_errors: int = 0
    generation_s: float = 0.0
    execution_s: float = 0.0
    """Clock seconds spent waiting for verdicts after the turn's last completion was drawn."""


@dataclass
class Branch:
    """A group to be played and where its prompt stands in the episode."""

    group: Group
    position: Position
    task_id: str
    path: tuple[int, ...]
    """Index of the problem, then of the ancestors among their siblings."""
    num_generations: int = 0
    after: list[Position | None] = field(default_factory=list)


def node_of(completion: Completion, outcome: Outcome) -> Node:
    """What was drawn and what became of it, as a node of the tree."""
    return Node(
        reward=outcome.reward,
        completion_ids=completion.ids,
        logprobs=completion.logprobs,
        completion=completion.text,
        finish_reason=completion.finish_reason,
        info=outcome.info,
    )


def seed_of(rollout: tuple[int, ...], path: tuple[int, ...], index: int) -> int:
    """63 random bits that depend on these and on nothing else."""
    digest = hashlib.blake2b(repr((rollout, path, index)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
