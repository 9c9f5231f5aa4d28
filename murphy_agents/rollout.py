"""What the sampler fills: trees with their counts, and branches, which are groups in the making."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from murphy_agents.engines.protocol import Completion
from murphy_agents.lease import Outcome, Position
from murphy_agents.tree import Group, Node
from murphy_env.types import InfrastructureError, Message

Fanout = Callable[[Node | None, int], int]
"""(attempt to refine, or None at the root; turn to come) -> number of generations."""
Seed = tuple[int, ...]
"""Numbers that tell a rollout's random numbers from those of others: (run's seed, step)."""
Transcript = Literal["requote", "chat"]


@dataclass
class Rollout:
    """Trees, one per problem, and what growing them took."""

    task_ids: list[str]
    roots: list[Group]
    seed: Seed = ()
    num_generations: int = 0
    num_overflows: int = 0
    num_infra_errors: int = 0
    generation_s: float = 0.0
    execution_s: float = 0.0
    """Clock seconds spent waiting for verdicts after the turn's last completion was drawn."""
    judging_s: float = 0.0
    """Clock seconds in which at least one program was being judged, overlaps counted once."""

    def check_verdicts(self) -> None:
        """Raise InfrastructureError if programs were drawn and not one got a verdict."""
        if 0 < self.num_generations == self.num_infra_errors:
            reasons = {node.info["infra_error"] for root in self.roots for node in root.nodes}
            raise InfrastructureError(f"no program got a verdict: {'; '.join(sorted(reasons))}")


@dataclass
class Branch:
    """A group to be played and where its prompt stands in the episode."""

    group: Group
    position: Position
    task_id: str
    path: tuple[int, ...]
    """Key of the problem, then index of the ancestors among their siblings."""
    seeds: tuple[int, ...] = ()
    """One for each generation wanted."""
    after: list[Position | None] = field(default_factory=list)
    """Where each generation leads; None where it ended its episode."""

    def add(self, completion: Completion, outcome: Outcome) -> None:
        """A generation and what became of it, as the next node of the group."""
        node = Node(
            reward=outcome.reward,
            completion_ids=completion.ids,
            logprobs=completion.logprobs,
            completion=completion.text,
            finish_reason=completion.finish_reason,
            info=outcome.info,
        )
        self.group.nodes.append(node)
        self.after.append(outcome.next)


def seed_of(rollout: Seed, path: tuple[int, ...], index: int | None = None) -> int:
    """63 random bits that depend on these and on nothing else."""
    digest = hashlib.blake2b(repr((rollout, path, index)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def check_appended(before: Sequence[Message], after: Sequence[Message]) -> None:
    """Check that the messages after a step are those before it, an answer and one from the user.

    Raises:
        ValueError: they are not, so appending the last one would make another prompt of them.
    """
    roles = [message["role"] for message in after[len(before) :]]
    if list(after[: len(before)]) != list(before) or roles != ["assistant", "user"]:
        raise ValueError(
            "transcript is 'chat', but the environment's messages do not continue the "
            f"{len(before)} before them (new roles: {roles}); make the environment with "
            "transcript='chat' too, or train with transcript='requote'"
        )
