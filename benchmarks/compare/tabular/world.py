"""A world of tables: what a program earns, what its feedback says, and a softmax policy in it.

A task has a hidden truth, drawn uniformly; a prompt is a row of the policy's table and a completion
a column. Row 0 is the first prompt. An attempt's reward and the row that its feedback leads to
depend on truth and column alone. A prompt's id is its row, a completion's id is its column, so that
trees of real nodes carry all that an update needs.

Dimensions: D truths, R rows, C columns.
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from murphy_agents.algorithms import Algorithm
from murphy_agents.tree import Group, Node, groups, walk

SOLVED = -1
STEPS, TASKS = 150, 8
"""Of a training run, and tasks a step."""


@dataclass(frozen=True, eq=False)
class World:
    """The whole of a world.

    Attributes:
        logits_RC: where the policy starts.
        reward_DC: what a program earns, 1 where it is right.
        next_DC: the row that its feedback leads to, `SOLVED` where it is right.
        probes_C: 1 for programs whose feedback is worth more than they earn, else 0.
    """

    logits_RC: np.ndarray
    reward_DC: np.ndarray
    next_DC: np.ndarray
    probes_C: np.ndarray

    @cached_property
    def verdicts(self) -> list[list[tuple[float, int]]]:
        """Reward and next row by truth and column, as plain numbers."""
        pairs = zip(self.reward_DC.tolist(), self.next_DC.tolist(), strict=True)
        return [list(zip(rewards, rows, strict=True)) for rewards, rows in pairs]


class Policy:
    """A softmax table in its world."""

    def __init__(self, world: World):
        self.world = world
        self.logits_RC = world.logits_RC.copy()
        self.num_generations = 0
        """Drawn in its training."""

    def probabilities(self) -> np.ndarray:
        """(R, C), each row adds up to 1."""
        weights = np.exp(self.logits_RC - self.logits_RC.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def probing_share(self) -> float:
        """Probability that the first attempt probes."""
        return float(self.probabilities()[0] @ self.world.probes_C)

    def solve_rate(self, turns: int) -> float:
        """Exact probability that one of so many attempts in a row solves the task."""
        table, solved = self.probabilities(), 0.0
        for next_C in self.world.next_DC:
            row_R = np.zeros(len(table))
            row_R[0] = 1.0
            for _ in range(turns):
                column_C = row_R @ table
                solved += column_C[next_C == SOLVED].sum() / len(self.world.next_DC)
                failed = next_C != SOLVED
                row_R = np.bincount(next_C[failed], column_C[failed], minlength=len(table))
        return float(solved)


def train(
    world: World, algorithm: Algorithm, seed: int, steps: int = STEPS, tasks: int = TASKS
) -> Policy:
    """Gradient ascent, learning rate 1, on the mean over tasks of the weighted advantages."""
    policy, rng = Policy(world), np.random.default_rng(seed)
    for _ in range(steps):
        table = policy.probabilities()
        cumulative = table.cumsum(axis=1).tolist()
        gradient = np.zeros_like(table)
        # All roots are asked for before any tree grows, as the sampler does: what a fan-out
        # remembers changes between steps alone.
        sizes = [algorithm.fanout(None, 1) for _ in range(tasks)]
        for size in sizes:
            root = _grow(world, algorithm, size, cumulative, rng)
            algorithm.grade(root)
            policy.num_generations += sum(1 for _ in walk(root))
            _ascend(gradient, root, table)
        policy.logits_RC += gradient / tasks
    return policy


def _grow(
    world: World,
    algorithm: Algorithm,
    size: int,
    cumulative: list[list[float]],
    rng: np.random.Generator,
) -> Group:
    """The rollout tree of one task, with so many first attempts."""
    verdicts = world.verdicts[int(rng.integers(len(world.verdicts)))]

    def attempt(row: int, turn: int) -> Node:
        column = min(bisect(cumulative[row], rng.random()), len(verdicts) - 1)
        reward, seen = verdicts[column]
        node = Node(reward, completion_ids=(column,))
        if seen != SOLVED and (count := algorithm.fanout(node, turn + 1)):
            below = [attempt(seen, turn + 1) for _ in range(count)]
            node.refinements = Group(below, (seen,), turn + 1)
        return node

    return Group([attempt(0, 1) for _ in range(size)], prompt_ids=(0,))


def _ascend(gradient: np.ndarray, root: Group, table: np.ndarray) -> None:
    """Add a tree's gradient: d log p(column) / d logits = onehot(column) - p."""
    for group in groups(root):
        row = group.prompt_ids[0]
        for node in group.nodes:
            if node.advantage:
                scale = node.weight * node.advantage
                gradient[row, node.completion_ids[0]] += scale
                gradient[row] -= scale * table[row]
