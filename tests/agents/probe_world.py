"""The probe world: a task where the first attempt can hide or reveal what is wrong.

A string of numbers is joined by one of k separators, unknown to the policy. An attempt guesses the
separator in one of two styles. Wrong and quiet (errors swallowed): partial reward `quiet`, nothing
learnt. Wrong and loud: partial reward `loud`, less, but the error message names the separator.
Both styles solve the first turn equally often; only the loud one makes the second turn solvable.

The policy is a table of logits: one row for the first prompt, k rows for "the message named
separator d", k rows for "I quietly tried t". A prompt's id is its row, a completion's id is its
column (style * k + separator), so that trees of real nodes carry all that the update needs. Turn 2
starts half skilled: a named separator is used with probability 1/2, a tried one is repeated with
weight 1/e. Training is plain gradient ascent on Def. 1, evaluation of the table is exact.

`python tests/agents/probe_world.py` prints the table behind the figures in `docs/design`.
"""

from __future__ import annotations

import sys
from bisect import bisect
from dataclasses import dataclass, replace

import numpy as np

from murphy_agents import advantage, balance
from murphy_agents.algorithms import (
    Algorithm,
    grpo,
    murphy_mars,
    murphy_mers,
    naive,
    tree_without_credit,
)
from murphy_agents.credit import child_mean
from murphy_agents.prune import inter_group, intra_group
from murphy_agents.tree import Group, Node, groups


@dataclass(frozen=True)
class World:
    """Number of separators, and what a wrong attempt of either style earns."""

    k: int = 8
    quiet: float = 1 / 2
    loud: float = 1 / 3


class Policy:
    """Softmax tables: row 0 the first prompt, 1..k a named separator, k+1..2k a tried one."""

    def __init__(self, world: World):
        self.world = world
        k = world.k
        self.logits = np.zeros((1 + 2 * k, 2 * k))
        for d in range(k):
            self.logits[1 + d, [d, k + d]] = np.log(k - 1)
            self.logits[1 + k + d, [d, k + d]] = -1.0

    def probabilities(self) -> np.ndarray:
        weights = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def loud_share(self) -> float:
        """Probability that the first attempt is loud."""
        return float(self.probabilities()[0, self.world.k :].sum())

    def solve_rate(self, turns: int) -> float:
        """Exact probability that one of so many attempts in a row solves the task."""
        k, table = self.world.k, self.probabilities()
        solved = 0.0
        for d in range(k):
            rows = np.zeros(len(table))
            rows[0] = 1.0
            for _ in range(turns):
                columns = rows @ table
                solved += (columns[d] + columns[k + d]) / k
                columns[[d, k + d]] = 0
                rows = np.zeros(len(table))
                rows[1 + d] = columns[k:].sum()
                rows[1 + k :] = columns[:k]
        return float(solved)


def grow(
    world: World, algorithm: Algorithm, cumulative: list[list[float]], rng: np.random.Generator
) -> Group:
    """The rollout tree of one task, its separator drawn uniformly."""
    k, separator = world.k, int(rng.integers(world.k))

    def attempt(row: int, turn: int) -> Node:
        column = min(bisect(cumulative[row], rng.random()), 2 * k - 1)
        loud, guess = divmod(column, k)
        if guess == separator:
            return Node(1.0, completion_ids=(column,))
        node = Node(world.loud if loud else world.quiet, completion_ids=(column,))
        if count := algorithm.fanout(node, turn + 1):
            seen = 1 + separator if loud else 1 + k + guess
            node.refinements = Group(
                [attempt(seen, turn + 1) for _ in range(count)], (seen,), turn + 1
            )
        return node

    return Group([attempt(0, 1) for _ in range(algorithm.fanout(None, 1))], prompt_ids=(0,))


def train(
    algorithm: Algorithm, seed: int, world: World | None = None, steps: int = 150, tasks: int = 8
) -> Policy:
    """Gradient ascent, learning rate 1, on the mean over tasks of the weighted advantages."""
    world = world or World()
    policy, rng = Policy(world), np.random.default_rng(seed)
    for _ in range(steps):
        table = policy.probabilities()
        cumulative = table.cumsum(axis=1).tolist()
        gradient = np.zeros_like(table)
        for _ in range(tasks):
            root = grow(world, algorithm, cumulative, rng)
            algorithm.grade(root)
            for group in groups(root):
                for node in group.nodes:
                    if node.advantage:
                        # d log p(column) / d logits = onehot(column) - p
                        row, scale = group.prompt_ids[0], node.weight * node.advantage / tasks
                        gradient[row, node.completion_ids[0]] += scale
                        gradient[row] -= scale * table[row]
        policy.logits += gradient
    return policy


def _main() -> None:
    mars = murphy_mars((4, 4))
    hedge, k2 = World(quiet=0.75, loud=0.25), World(k=2)
    runs: dict[str, tuple[Algorithm, World]] = {
        "grpo": (grpo(20), World()),
        "no credit": (tree_without_credit((4, 4)), World()),
        "mars": (mars, World()),
        "mars, shuffled": (murphy_mars((4, 4), shuffle_credit=True), World()),
        "mers .9": (murphy_mers((4, 4)), World()),
        "mers .9 literal": (murphy_mers((4, 4), childless="literal"), World()),
        "mers 1": (murphy_mers((4, 4), 1.0), World()),
        "child mean": (replace(mars, credit=child_mean), World()),
        "naive, all turns": (naive(10, train_turns="all"), World()),
        "naive, last turn": (naive(10), World()),
        "mars, population": (replace(mars, scale=advantage.standardize_population), World()),
        "mars, centered": (replace(mars, scale=advantage.center), World()),
        "mars, mean of groups": (replace(mars, balance=balance.mean_of_groups), World()),
        "mars, mean of turns": (replace(mars, balance=balance.mean_of_turns), World()),
        "mars, IntraP 2": (murphy_mars((4, 4), intra_group(2)), World()),
        "mars, IntraP 2, keep": (
            murphy_mars((4, 4), intra_group(2, keep_descendants=True)),
            World(),
        ),
        "mars, InterP 2, zero": (murphy_mars((4, 4), inter_group(2)), World()),
        "mars, InterP 2, as_sampled": (
            murphy_mars((4, 4), inter_group(2, dropped_pays="as_sampled")),
            World(),
        ),
        "strong hedge, mars": (mars, hedge),
        "strong hedge, mers 1": (murphy_mers((4, 4), 1.0), hedge),
        "strong hedge, mers 1 literal": (murphy_mers((4, 4), 1.0, "literal"), hedge),
        "k=2, mars": (mars, k2),
    }
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    print(f"{'percent, mean ± sd of ' + str(len(seeds)) + ' seeds':<30}{'P(loud)':>12}", end="")
    print("".join(f"{f'Iter-{turns}':>12}" for turns in (1, 2, 3)), "  P(loud) by seed")
    for name, (algorithm, world) in runs.items():
        policies = [train(algorithm, seed, world) for seed in seeds]
        rows = [[p.loud_share(), *(p.solve_rate(t) for t in (1, 2, 3))] for p in policies]
        figures = 100 * np.array(rows)
        columns = zip(figures.mean(axis=0), figures.std(axis=0), strict=True)
        cells = "".join(f"{f'{mean:.1f}±{sd:.1f}':>12}" for mean, sd in columns)
        print(f"{name:<30}{cells}  ", *(f"{share:.1f}" for share in figures[:, 0]), flush=True)


if __name__ == "__main__":
    _main()
