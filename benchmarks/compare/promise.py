"""Which attempts are worth refining, judged by what became of others like them.

Siblings with equal credits have advantage 0: but for the KL term nothing is learnt from them, and
their generations are spent. Post-rollout pruning (`murphy_agents.prune`) saves their update;
`Promise` does not generate them.

* **Before the draw.** An attempt is known by its turn and its reward: its kind. Nothing of its own
  refinements is known yet, so its kind's past decides.
* **Memory.** Of each kind the groups of refinements of the last rollouts, as few of them as hold
  `window` groups. It changes only when a rollout begins and forgets whole rollouts, so the order in
  which attempts are judged decides nothing. It is lost when a run is resumed, and each process of
  several has its own.
* **Refused** is a kind of which at least `least` groups are remembered and less than `threshold` of
  them had unequal credits.
* **Explored** is a share of the refused all the same, since the policy changes: drawn from the
  attempt's ids and the number of trees so far, the same ones on every machine.
* **What it costs.** A refused attempt keeps its own reward. Where a kind is refused because its
  refinements always succeed, that takes away the credit which made the kind worth choosing, as
  `inter_group`'s `dropped_pays="zero"` does; `Promise.credit` pays the remembered credit instead.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence

from murphy_agents.credit import max_reward
from murphy_agents.tree import Node, counted, credits

Kind = tuple[int, float]
"""Turns left after the attempt, and its reward."""
Refined = tuple[bool, float]
"""Whether the credits of an attempt's refinements differed, and its own credit."""


class Promise:
    """The fan-out of a tree that refuses parents of whom nothing is to be learnt.

    Example:
        Two of a kind whose refinements were all right, so a third one is not refined:

        >>> from murphy_agents.algorithms import Algorithm
        >>> from murphy_agents.tree import Group
        >>> promise = Promise((2, 2), least=2, explore=0.0)
        >>> mars = Algorithm(promise.expand, promise.credit, turns=2)
        >>> for _ in range(2):
        ...     first = Group([Node(0.5, Group([Node(1.0), Node(1.0)], turn=2)), Node(0.0)])
        ...     _ = mars.fanout(None, 1), mars.fanout(first.nodes[0], 2)
        ...     mars.grade(first)
        >>> mars.fanout(None, 1), mars.fanout(Node(0.5), 2), mars.fanout(Node(0.0), 2)
        (2, 0, 2)
    """

    def __init__(
        self,
        fanout: Sequence[int],
        threshold: float = 0.1,
        least: int = 16,
        window: int = 64,
        explore: float = 0.125,
    ) -> None:
        if not (0 <= threshold <= 1 and 0 <= explore <= 1):
            raise ValueError(f"threshold {threshold}, explore {explore}; give shares in [0, 1]")
        if not 1 <= least <= window:
            raise ValueError(f"least is {least}, window {window}; give 1 <= least <= window")
        self._fanout = tuple(fanout)
        self._threshold, self._least, self._explore = threshold, least, explore
        self._window = window
        self._past: dict[Kind, list[list[Refined]]] = {}
        self._growing: list[tuple[Kind, Node]] = []
        self._num_trees = 0

    def expand(self, node: Node | None, turn: int) -> int:
        """Generations to grow at `turn` from an attempt, 0 where it is refused."""
        count = self._fanout[turn - 1]
        if node is None or node.reward is None:
            self._num_trees += node is None
            self._remember()
            return count
        kind = self._kind(node.reward, len(self._fanout) - turn + 1)
        if self.refuses(kind) and not self._explored(node, turn):
            return 0
        self._growing.append((kind, node))
        return count

    def refuses(self, kind: Kind) -> bool:
        """Whether parents of this kind are not refined at present."""
        past = self._remembered(kind)
        num_unequal = sum(unequal for unequal, _ in past)
        return len(past) >= self._least and num_unequal < self._threshold * len(past)

    def credit(self, reward: float, children: Sequence[float], turns_left: int) -> float:
        """MaRS, but a refused parent earns what refined ones of its kind did, on average."""
        kind = self._kind(reward, turns_left)
        if children or not self.refuses(kind):
            return max_reward(reward, children, turns_left)
        past = self._remembered(kind)
        return math.fsum(credit for _, credit in past) / len(past)

    def _remembered(self, kind: Kind) -> list[Refined]:
        return [refined for rollout in self._past.get(kind, ()) for refined in rollout]

    def _remember(self) -> None:
        """Take in what became of the parents that were refined in the rollout before."""
        found: defaultdict[Kind, list[Refined]] = defaultdict(list)
        for kind, node in self._growing:
            values = credits(counted(node.refinements)) if node.refinements else []
            if len(values) > 1 and node.credit is not None:
                equal = math.isclose(min(values), max(values), rel_tol=1e-9, abs_tol=1e-12)
                found[kind].append((not equal, node.credit))
        self._growing.clear()
        for kind, rollout in found.items():
            past = self._past.setdefault(kind, [])
            past.append(rollout)
            while sum(map(len, past[1:])) >= self._window:
                del past[0]

    def _explored(self, node: Node, turn: int) -> bool:
        # By what is the same in whatever order attempts are judged: equal siblings share a toss.
        ids = list(node.completion_ids)
        return random.Random(f"{self._num_trees} {turn} {ids}").random() < self._explore

    @staticmethod
    def _kind(reward: float, turns_left: int) -> Kind:
        return turns_left, round(reward, 12)
