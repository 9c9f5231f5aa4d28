"""What a run draws and trains at most, counted on trees that the real algorithm grows and grades.

Worst-case trees: no attempt solves its problem. Which rewards below 1 are the worst case depends on
the algorithm (one may refuse to refine hopeless attempts, another drop groups by their spread), so
there are two trees: one whose attempts all earn nothing, one whose rewards vary. Each count is the
larger of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from murphy_agents import wiring
from murphy_agents.algorithms import Algorithm
from murphy_agents.config import TrainConfig, check_kept, steps_of
from murphy_agents.tree import Group, Node, groups, walk


@dataclass(frozen=True)
class PerProblem:
    """Counts of one problem that is never solved."""

    by_turn: tuple[int, ...]
    """Generations turn by turn."""
    updates: int
    """Generations that are trained."""

    @property
    def rollouts(self) -> int:
        """Generations in all."""
        return sum(self.by_turn)


@dataclass(frozen=True)
class Whole:
    """Counts of a whole run."""

    steps: int
    optimizer_steps: int
    problems: int
    generations: int
    tokens: int
    """Generated, if every completion ran to its limit."""


def per_problem(algorithm: Algorithm) -> PerProblem:
    """The most that one problem can cost."""
    trees = [_grown(algorithm, rewards) for rewards in (_nothing, _varying)]
    for tree in trees:
        algorithm.grade(tree)
    turns = zip_longest(*map(_by_turn, trees), fillvalue=0)
    updates = (sum(node.weight > 0 for node in walk(tree)) for tree in trees)
    return PerProblem(tuple(map(max, turns)), max(updates))


def whole(config: TrainConfig, task_ids: list[str], problem: PerProblem) -> Whole:
    """The most that a run over these tasks can cost."""
    steps = steps_of(config, len(task_ids))
    check_kept(config, steps)
    problems = sum(map(len, wiring.batches(config, task_ids)))
    generations = problems * problem.rollouts
    return Whole(
        steps,
        steps * config.num_iterations,
        problems,
        generations,
        generations * config.max_completion_length,
    )


def _nothing() -> Iterator[float]:
    while True:
        yield 0.0


def _varying() -> Iterator[float]:
    """0, .7, .4, .1, .8, ...: of ten values below 1, each once in ten."""
    number = 0
    while True:
        yield number % 10 / 10
        number += 7


def _grown(algorithm: Algorithm, rewards: Callable[[], Iterator[float]]) -> Group:
    drawn = rewards()
    root = Group([Node(next(drawn)) for _ in range(algorithm.fanout(None, 1))])
    level = [root]
    while level:
        parents = [(node, group.turn + 1) for group in level for node in group.nodes]
        level = []
        for node, turn in parents:
            if count := algorithm.fanout(node, turn):
                node.refinements = Group([Node(next(drawn)) for _ in range(count)], turn=turn)
                level.append(node.refinements)
    return root


def _by_turn(tree: Group) -> list[int]:
    counted: dict[int, int] = {}
    for group in groups(tree):
        counted[group.turn] = counted.get(group.turn, 0) + len(group.nodes)
    return [counted[turn] for turn in sorted(counted)]
