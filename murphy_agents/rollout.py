"""What the sampler fills: trees with their counts, and branches, which are groups in the making."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from murphy_agents.engines.protocol import Completion
from murphy_agents.lease import Outcome, Position
from murphy_agents.tree import Group, Node
from murphy_env.types import InfrastructureError, Message

Fanout = Callable[[Node | None, int], int]
"""(attempt to refine, or None at the root; turn to come) -> number of generations."""
Seed = tuple[int, ...]
"""Numbers that tell a rollout's random numbers from those of others: (run's seed, step)."""
Transcript = Literal["requote", "chat"]


class Moments(NamedTuple):
    """When a generation was asked for, drawn, and judged: clock seconds of its rollout."""

    asked: float
    drawn: float
    judged: float = 0.0


@dataclass
class Rollout:
    """Trees, one per problem, and what growing them took."""

    task_ids: list[str]
    roots: list[Group]
    seed: Seed = ()
    num_generations: int = 0
    num_overflows: int = 0
    num_infra_errors: int = 0
    seconds: float = 0.0
    """Clock seconds of the whole."""
    generation_s: float = 0.0
    """Clock seconds in which the engine had something to draw."""
    execution_s: float = 0.0
    """Clock seconds in which it had nothing, and waited for verdicts."""
    judging_s: float = 0.0
    """Clock seconds in which at least one program was being judged, overlaps counted once."""
    prompt_tokens: int = 0
    """Ids of the prompts, counted for every generation."""
    prefilled_tokens: int = 0
    """Those that the model really read."""

    timeline: list[tuple[tuple[int, ...], Moments]] = field(default_factory=list)
    """When each generation was what, by its path, in the order of the verdicts."""

    def count(self, branch: Branch, index: int) -> None:
        """Take a judged generation of a branch into account."""
        self.num_generations += 1
        self.num_infra_errors += branch.nodes[index].reward is None
        self.timeline.append(((*branch.path, index), branch.moments[index]))

    def check_verdicts(self) -> None:
        """Raise InfrastructureError if programs were drawn and not one got a verdict."""
        if 0 < self.num_generations == self.num_infra_errors:
            reasons = {node.info["infra_error"] for root in self.roots for node in root.nodes}
            raise InfrastructureError(f"no program got a verdict: {'; '.join(sorted(reasons))}")


@dataclass
class Branch:
    """A group in the making and where its prompt stands in the episode."""

    group: Group
    position: Position
    task_id: str
    path: tuple[int, ...]
    """Key of the problem, then index of the ancestors among their siblings."""
    seeds: tuple[int, ...] = ()
    """One for each generation wanted."""
    nodes: dict[int, Node] = field(default_factory=dict)
    """Generations that have their verdict; when all have, they are the group's."""
    after: dict[int, Position | None] = field(default_factory=dict)
    """Where each of them leads; None where it ended its episode."""
    moments: dict[int, Moments] = field(default_factory=dict)

    def add(self, completion: Completion, outcome: Outcome, moments: Moments) -> None:
        """A generation and what became of it."""
        self.nodes[completion.index] = Node(
            reward=outcome.reward,
            completion_ids=completion.ids,
            logprobs=completion.logprobs,
            completion=completion.text,
            finish_reason=completion.finish_reason,
            info=outcome.info,
        )
        self.after[completion.index] = outcome.next
        self.moments[completion.index] = moments
        if len(self.nodes) == len(self.seeds):
            self.group.nodes[:] = [self.nodes[i] for i in range(len(self.seeds))]


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
